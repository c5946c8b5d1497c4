"""A signed document is as it was signed, or it is found out."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from contracts.errors import Code, EchoError
from contracts.signing import (
    SIGNATURE,
    SigningKey,
    canonical_json,
    key_id_of,
    new_key_pem,
    public_pem,
    signed,
    signer,
)
from tests.journal.a_journal import KEY, OTHER_KEY

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["job_id", "amount_krw", "steps"]), JSON, min_size=1)


@settings(deadline=None)
@given(DOCUMENTS)
def test_a_signed_document_names_its_signer_however_it_is_laid_out(document: dict[str, Any]) -> None:
    handed_out = json.loads(json.dumps(signed(document, KEY), indent=3))
    assert signer(dict(reversed(handed_out.items()))) == KEY.key_id


@settings(deadline=None)
@given(DOCUMENTS, JSON)
def test_a_changed_document_has_no_signer(document: dict[str, Any], other: Any) -> None:
    receipt = signed(document, KEY)
    name = next(iter(document))
    if canonical_json(other) != canonical_json(document[name]):
        assert signer({**receipt, name: other}) is None
    assert signer({**receipt, "one_more": 1}) is None
    assert signer({**receipt, SIGNATURE: signed({"another": 1}, KEY)[SIGNATURE]}) is None
    assert signer(document) is None


def test_a_signature_under_another_name_is_none() -> None:
    protected, _, signature = signed({"amount_krw": 1}, KEY)[SIGNATURE].split(".")
    another = signed({"amount_krw": 1}, OTHER_KEY)[SIGNATURE].split(".")[0]
    assert signer({"amount_krw": 1, SIGNATURE: f"{another}..{signature}"}) is None
    assert signer({"amount_krw": 1, SIGNATURE: f"{protected}.e30.{signature}"}) is None
    for nonsense in ("", "..", "a.b.c", 7, None):
        assert signer({"amount_krw": 1, SIGNATURE: nonsense}) is None


def test_any_library_for_jws_can_check_a_receipt() -> None:
    receipt = signed({"job_id": "job_1", "note": "환불"}, KEY)
    payload = canonical_json({"job_id": "job_1", "note": "환불"})
    key = OKPKey.import_key(public_pem(KEY.key_id))
    protected, _, signature = receipt[SIGNATURE].split(".")
    content = urlsafe_b64encode(payload).rstrip(b"=").decode()
    found = jws.deserialize_compact(f"{protected}.{content}.{signature}", key, algorithms=["Ed25519"])
    assert found.payload == payload


def test_fractions_are_not_signed() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        signed({"steps": [{"amount": 0.5}]}, KEY)


def test_a_key_is_read_from_a_file_or_from_one_line_of_an_environment() -> None:
    pem = new_key_pem()
    assert SigningKey.from_pem(pem).key_id == SigningKey.from_pem(pem.strip().replace("\n", "\\n")).key_id
    assert key_id_of(public_pem(KEY.key_id)) == key_id_of(f"{KEY.key_id}\n") == KEY.key_id


@pytest.mark.parametrize("pem", ["nonsense", public_pem(KEY.key_id)])
def test_what_is_no_private_key_is_refused(pem: str) -> None:
    with pytest.raises(EchoError) as refused:
        SigningKey.from_pem(pem)
    assert refused.value.code is Code.SIGNING_UNAVAILABLE
