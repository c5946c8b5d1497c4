"""Bodies of `/v1/jobs`."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from api.payments.schemas import Declined, PaymentMethod, Refund
from api.shapes import Body, JobIdText, Line, Moment, PageQuery, Sha256, VideoIdText, View
from contracts.jobs import Attention, JobStatus, SagaStep, Stage
from contracts.kinds import KINDS
from contracts.kinds.base import JobParams
from contracts.ledger import CreditEffect
from contracts.media import MediaInfo
from contracts.payments import Checkout, Provider, PurchaseStatus, RefundTo
from contracts.pricing import Quote

ContentType = Literal[
    "video/mp4", "video/quicktime", "video/x-msvideo", "video/x-matroska", "video/webm",
    "audio/mpeg", "audio/mp4", "audio/x-m4a", "audio/wav", "audio/x-wav", "audio/flac", "audio/x-flac", "audio/ogg",
]  # fmt: skip
"""Each of them is in `media.sniff.DECLARED`."""
DURATION_MS_MAX = 24 * 3600 * 1000
BYTES_MAX = 5 * 1024**4
"""S3's largest object; the platform's own limit is a setting and answers `upload_too_large`."""


class UploadSpec(Body):
    """A file that is about to be uploaded."""

    filename: Line = Field(examples=["stage.mp4"])
    bytes: int = Field(ge=1, le=BYTES_MAX, examples=[48_213_004])
    content_type: ContentType = Field(examples=["video/mp4"])
    """Of the container. A job whose kind needs a picture, or sound, ends with `no_video` or `no_audio` when there is
    none. The file stays for jobs of other kinds."""
    sha256: Sha256 | None = None
    """Hex. Checked when given; a file that the user has already uploaded is then not uploaded again."""
    duration_ms: int | None = Field(default=None, ge=1, le=DURATION_MS_MAX, examples=[183_000])
    """For the quote; the measured duration decides the price."""


class NewUpload(Body):
    upload: UploadSpec


class ExistingVideo(Body):
    video_id: VideoIdText
    """One of the user's own videos, uploaded and checked before, or a result."""


class FromBalance(Body):
    """Paid from the user's credits, which are held now and captured at the end."""

    type: Literal["balance"] = "balance"


class ByCharge(Body):
    """Paid by a saved card: the quoted credits, at a flat price each, are charged, granted and held at once."""

    type: Literal["charge"]
    payment_method: PaymentMethod = Field(examples=["pm_1PqLbR2eZvKYlo2C"])
    provider: Provider | None = None
    """By default the platform's own choice."""
    refund_to: RefundTo = RefundTo.CARD
    """Where the money goes if the job ends without a result, or turns out cheaper."""


Funding = Annotated[FromBalance | ByCharge, Field(discriminator="type")]


class JobRequestBase(Body):
    """What every kind of job asks for."""

    kind: str
    params: JobParams
    source: NewUpload | ExistingVideo
    funding: Funding = FromBalance()


class QuoteRequestBase(Body):
    """What a job of a kind would cost."""

    kind: str
    params: JobParams
    duration_ms: int | None = Field(default=None, ge=1, le=DURATION_MS_MAX, examples=[183_000])
    """Of the source; one minute is assumed without it."""


if TYPE_CHECKING:
    JobRequest = JobRequestBase
    QuoteRequest = QuoteRequestBase
    KindName = str
else:
    # Made from the registry of kinds, so that a new kind needs no change here: one body each, told apart by `kind`.
    KindName = Literal[tuple(KINDS)]

    def _one_of_each(base: type[Body], name: str, doc: str) -> Any:
        bodies = (
            create_model(
                name.format(kind.name.title()),
                __base__=base,
                __doc__=doc.format(kind.name),
                kind=(Literal[kind.name], ...),
                params=(kind.params, ... if kind.defaults is None else kind.defaults),
            )
            for kind in KINDS.values()
        )
        return Annotated[reduce(or_, bodies), Field(discriminator="kind")]

    JobRequest = _one_of_each(JobRequestBase, "{}Request", "A job of kind `{}`.")
    QuoteRequest = _one_of_each(QuoteRequestBase, "{}QuoteRequest", "The price of a job of kind `{}`.")


class Failure(View):
    """Why a job ended without a result."""

    code: str
    message: str
    """A sentence for the user, in Korean or English."""


class Charge(View):
    """The card payment of a job."""

    purchase_id: str
    status: PurchaseStatus
    amount_krw: int
    refund_to: RefundTo
    refunds: tuple[Refund, ...]
    """Oldest first."""
    payment_url: str
    """For its owner: the purchase, with the `checkout` while it is not paid."""
    declined: Declined | None
    """Why the latest card was declined; while the charge is not settled, another may be tried."""


class NewCharge(Charge):
    """The card payment of a job that was just taken on."""

    action_required: bool
    """The bank asks the customer for authentication: let the payment SDK handle it with `checkout`."""
    checkout: Checkout | None
    """Null once it is settled, and while the payment service is away: then ask `payment_url`."""


class JobBase(View):
    """A job without its charge."""

    id: str
    kind: str
    params: dict[str, Any]
    status: JobStatus
    stages: tuple[Stage, ...]
    """Every stage of the kind, in order, each with its own percentage."""
    eta_s: int | None
    """Seconds until the result, once progress allows an estimate."""
    quote: Quote
    credit_effect: CreditEffect
    """What the last change of state did to the credits."""
    credits: int
    """How many credits that were; of a job that made a part of what was asked, the price of that part."""
    credits_held: int
    attention: Attention | None
    """Set while the job waits for a person: `funds` for its owner, `fault` for support."""
    failure: Failure | None
    source_video_id: str
    result_video_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    status_url: str
    events_url: str
    cancel_url: str
    result_url: str
    saga_url: str
    ingested_url: str


class Job(JobBase):
    """A job as its owner sees it."""

    charge: Charge | None
    """Null when it is paid from the balance."""


class UploadTarget(View):
    """Where the file goes. `url` is null for files that must be sent in parts (`multipart_url`)."""

    video_id: str
    method: Literal["PUT"] = "PUT"
    url: str | None
    headers: dict[str, str]
    """To be sent with the PUT exactly as they are."""
    expires_at: datetime | None
    multipart_url: str


class NewJob(JobBase):
    """A job that was just taken on."""

    charge: NewCharge | None
    """Null when it is paid from the balance."""
    upload: UploadTarget | None
    """Null when nothing has to be uploaded."""
    duplicate: bool
    """True when the announced SHA-256 is that of a video that the user already has."""


class JobPage(View):
    data: tuple[Job, ...]
    has_more: bool


class JobQuery(PageQuery[JobIdText]):
    """Filters of a list of jobs."""

    status: list[JobStatus] = Field(default=[])
    kind: list[KindName] = Field(default=[])
    created_from: Moment | None = None
    """Inclusive."""
    created_to: Moment | None = None
    """Exclusive."""


class ThumbnailPlace(IntEnum):
    """Percent of the duration. An enum, since a query's text is never equal to a literal number."""

    EARLY = 10
    MIDDLE = 50
    LATE = 90


class ThumbnailLink(View):
    at_percent: int
    url: str
    width: int
    height: int


class ResultBase(View):
    """The file that a job has made. Every URL works without a token until `expires_at`, and honours Range."""

    kind: str
    url: str
    expires_at: datetime
    bytes: int
    sha256: str
    content_type: str
    manifest_url: str


class VideoResult(ResultBase):
    """A finished video."""

    video_id: str
    info: MediaInfo
    thumbnails: tuple[ThumbnailLink, ...]


class ProductResult(ResultBase):
    """Of a kind that makes no video, or many."""

    product: dict[str, Any]
    """What was found or made, as the kind says it."""
    links: dict[str, str]
    """Where the source video's page of it is: `music` and `sections`, or `clips`."""


class Saga(View):
    """Every step of the job with its effect on the books, oldest first."""

    workflow_id: str
    workflow_url: str | None
    """The Temporal Web UI, for staff."""
    steps: tuple[SagaStep, ...]


class Heartbeat(Body):
    """Progress of an engine that is hosted elsewhere."""

    stage: Line
    part: int = Field(ge=0, le=1_000_000)
    """Index of the part of the stage that is reported."""
    done: int = Field(ge=0, le=2**53)
    total: int = Field(ge=1, le=2**53)
