"""Every sentence that `echoshot` says, in English and Korean. The API's own sentences come in the same language."""

from __future__ import annotations

import os

TEXTS: dict[str, tuple[str, str]] = {
    # What the commands do (help)
    "about": (
        "Turn phone footage of concerts into finished videos.",
        "휴대폰으로 찍은 공연 영상을 완성된 영상으로 만듭니다.",
    ),
    "exit_codes": (
        "exit codes: 0 done · 1 the job failed, was canceled or expired; a journal is not as it was signed "
        "· 2 wrong usage, unknown or impossible · 3 not signed in or not allowed · 4 not enough credits "
        "· 5 the file was not accepted "
        "· 6 server not reachable · 7 not paid, or not yet · 130 interrupted. More: docs/cli.md",
        "종료 코드: 0 완료 · 1 작업 실패·취소·만료, 장부가 봉인과 다름 · 2 잘못된 사용법, 없거나 할 수 없는 요청 "
        "· 3 로그인 안 됨 또는 권한 없음 · 4 크레딧 부족 · 5 받을 수 없는 파일 · 6 서버에 연결할 수 없음 "
        "· 7 결제 안 됨(아직 포함) · 130 중단됨. 자세히: docs/cli.md",
    ),
    "help_login": ("sign in and remember it", "로그인하고 기억합니다"),
    "help_enhance": ("enhance a video: 2x resolution, 60 fps", "영상 화질을 높입니다: 해상도 2배, 60fps"),
    "help_music": (
        "find the sections, tempo, key and best parts of a song",
        "노래의 구간, 빠르기, 조, 가장 좋은 부분 찾기",
    ),
    "help_clips": ("cut short clips for social media", "소셜 미디어용 짧은 클립 만들기"),
    "help_source": (
        "a file, or the id of a video that is on the platform already",
        "파일, 또는 이미 올린 영상의 ID",
    ),
    "help_strip": (
        "also save the picture of loudness and sections",
        "음량과 구간을 그린 그림도 저장",
    ),
    "help_length": ("of a highlight, in seconds (30)", "하이라이트 길이, 초 (30)"),
    "help_type": ("section that the highlight lies in (best: any)", "하이라이트가 있는 구간 (best: 어디든)"),
    "help_count": ("make so many, the best first", "가장 좋은 것부터 몇 개"),
    "help_all": ("make all that there are", "있는 만큼 모두"),
    "help_start": ("cut this very range instead", "대신 바로 이 범위를 자름"),
    "help_end": ("where that range ends", "그 범위의 끝"),
    "help_clip_format": ("shape of the picture (original)", "화면 비율 (original)"),
    "help_output_dir": ("folder for the clips", "클립을 저장할 폴더"),
    "help_jobs": ("list your jobs", "내 작업 목록"),
    "help_job": ("show one job", "작업 하나 보기"),
    "help_watch": ("follow a job until it ends", "작업이 끝날 때까지 지켜보기"),
    "help_cancel": ("cancel a job and get its credits back", "작업을 취소하고 크레딧 돌려받기"),
    "help_resume": ("go on with a job after adding credits", "크레딧을 채운 뒤 작업 이어 가기"),
    "help_download": ("download the result of a job", "작업 결과 내려받기"),
    "help_balance": ("show your credits", "내 크레딧"),
    "help_history": ("list what happened to your credits", "크레딧 내역"),
    "help_credits": ("buy credits", "크레딧 구매"),
    "help_packages": ("list the packages on sale", "판매 중인 상품 목록"),
    "help_buy": ("buy a package of credits", "크레딧 상품 사기"),
    "help_payments": ("your purchases", "내 결제 내역"),
    "help_list": ("list your purchases", "결제 목록"),
    "help_show": ("show one purchase and its refunds", "결제 하나와 환불 보기"),
    "help_payment_method": (
        "a saved card, charged at once; without it the payment is made in the app",
        "저장된 카드로 바로 결제합니다. 없으면 앱에서 결제합니다",
    ),
    "help_provider": ("payment service", "결제사"),
    "help_charge": (
        "pay this job by a saved card instead of your credits",
        "크레딧 대신 저장된 카드로 이 작업을 결제",
    ),
    "help_refund_to": (
        "where the money goes if the job ends without a result",
        "작업이 결과 없이 끝나면 돈을 돌려받을 곳",
    ),
    "help_admin": ("for operators", "운영자용"),
    "help_grant": ("give credits to a user", "사용자에게 크레딧 주기"),
    "help_finance": ("the sealed books", "봉인된 장부"),
    "help_export": (
        "export the sealed journal (role finance)",
        "봉인된 장부 내보내기 (finance 역할)",
    ),
    "help_verify": (
        "verify a journal or receipt, offline",
        "장부나 영수증을 오프라인으로 검증하기",
    ),
    "help_key": ("show the public key of journals and receipts", "장부와 영수증의 공개 키 보기"),
    "help_format": ("JSON Lines or CSV", "JSON Lines 또는 CSV"),
    "help_public_key": (
        "public key (PEM) that must have signed it; may be repeated",
        "서명했어야 하는 공개 키 (PEM). 여러 번 쓸 수 있음",
    ),
    "help_expect_hash": (
        "hash of a block noted down earlier: the journal must contain it",
        "전에 적어 둔 블록 해시: 장부에 들어 있어야 함",
    ),
    "help_api": ("API address (or ECHOSHOT_API_URL)", "API 주소 (또는 ECHOSHOT_API_URL)"),
    "help_json": ("JSON on stdout, no progress bars", "표준 출력에 JSON만, 진행 막대 없음"),
    "help_token": (
        "access token, - to read it from stdin (or ECHOSHOT_TOKEN)",
        "액세스 토큰, - 이면 표준 입력에서 읽음 (또는 ECHOSHOT_TOKEN)",
    ),
    "help_issuer": ("address of a development issuer", "개발용 발급자 주소"),
    "help_user": ("user name at the development issuer", "개발용 발급자의 사용자 이름"),
    "help_roles": ("roles to ask of it, with commas", "요청할 역할, 쉼표로 구분"),
    "help_output": ("where the result goes", "결과 파일 경로"),
    "help_force": ("replace an existing output file", "이미 있는 출력 파일 덮어쓰기"),
    "help_no_wait": ("return as soon as the file is uploaded", "업로드만 하고 바로 끝냄"),
    "help_after": ("start after this id (from the last page)", "이 ID 다음부터 (앞 페이지의 마지막)"),
    # Signing in
    "signed_in": ("Signed in to {api} as {subject}.", "{api}에 {subject}(으)로 로그인했습니다."),
    "not_signed_in": (
        "Not signed in{place}. Run `echoshot login`, or set ECHOSHOT_TOKEN.",
        "로그인되어 있지 않습니다{place}. `echoshot login`을 실행하거나 ECHOSHOT_TOKEN을 지정하세요.",
    ),
    "no_api": (
        "No API address: use --api, ECHOSHOT_API_URL or `echoshot login --api ...`.",
        "API 주소가 없습니다. --api, ECHOSHOT_API_URL 또는 `echoshot login --api ...`을 사용하세요.",
    ),
    "login_how": (
        "Give --token (or ECHOSHOT_TOKEN), or --issuer with --user.",
        "--token(또는 ECHOSHOT_TOKEN)이나 --issuer와 --user를 지정하세요.",
    ),
    "issuer_refused": (
        "The issuer did not give a token: {reason}",
        "발급자가 토큰을 주지 않았습니다: {reason}",
    ),
    "bad_url": ("Not a usable address: {url}", "쓸 수 없는 주소입니다: {url}"),
    "unreachable": ("{host} is not reachable ({reason}).", "{host}에 연결할 수 없습니다 ({reason})."),
    "strange_answer": (
        "{host} answered {status}, which is not an answer of this API.",
        "{host}이(가) {status}(으)로 답했습니다. 이 API의 응답이 아닙니다.",
    ),
    # Files
    "no_file": ("{path}: no such file, or it cannot be read.", "{path}: 파일이 없거나 읽을 수 없습니다."),
    "empty_file": ("{path} is empty.", "{path}은(는) 빈 파일입니다."),
    "output_exists": (
        "{path} exists already; choose another with -o, or use --force.",
        "{path}이(가) 이미 있습니다. -o로 다른 경로를 지정하거나 --force를 사용하세요.",
    ),
    "output_folder": ("There is no folder {path}.", "{path} 폴더가 없습니다."),
    "checking": ("Checking", "확인"),
    "uploading": ("Uploading", "업로드"),
    "downloading": ("Downloading", "다운로드"),
    # A job's life
    "resuming": (
        "Going on with job {job}, which was interrupted before.",
        "중단되었던 작업 {job}을(를) 이어서 진행합니다.",
    ),
    "duplicate": (
        "This video is already there: nothing has to be uploaded.",
        "이미 올린 영상입니다. 다시 업로드하지 않습니다.",
    ),
    "held": ("Job {job}: {credits:,} credits held.", "작업 {job}: 크레딧 {credits:,}개를 보류했습니다."),
    "charging": (
        "Job {job}: {amount:,} won are charged to the card.",
        "작업 {job}: 카드로 {amount:,}원을 결제합니다.",
    ),
    "started": (
        "Job {job} goes on without you. Watch it: echoshot watch {job}",
        "작업 {job}은(는) 계속 진행됩니다. 보기: echoshot watch {job}",
    ),
    "attention_fault": (
        "A fault needs a person; support was told. Nothing is lost.",
        "사람의 확인이 필요한 문제가 생겼습니다. 고객지원에 알렸으며 잃은 것은 없습니다.",
    ),
    "attention_funds": (
        "The video costs more than is held. Add credits, then: echoshot resume {job}",
        "영상이 보류한 크레딧보다 비쌉니다. 크레딧을 채운 뒤: echoshot resume {job}",
    ),
    "succeeded": ("Done: {credits:,} credits used.", "완료: 크레딧 {credits:,}개를 사용했습니다."),
    "download_hint": ("Download it: echoshot download {job}", "내려받기: echoshot download {job}"),
    "saved": ("Saved as {path} ({size}, SHA-256 checked).", "{path}에 저장했습니다 ({size}, SHA-256 확인)."),
    "ended": ("Job {job} ended: {status}. {reason}", "작업 {job} 종료: {status}. {reason}"),
    "credits_back": ("No credits were used.", "크레딧은 차감되지 않았습니다."),
    "payment_kept": (
        "The payment stays with you as credits.",
        "결제 금액은 크레딧으로 남아 있습니다.",
    ),
    "money_back": ("The charge is refunded to the card.", "결제 금액이 카드로 환불됩니다."),
    "canceling": (
        "Job {job} is being canceled; its credits come back in a moment.",
        "작업 {job}을(를) 취소하는 중입니다. 크레딧은 곧 돌아옵니다.",
    ),
    "resumed": (
        "Job {job} was told that credits were added.",
        "작업 {job}에 크레딧이 채워졌음을 알렸습니다.",
    ),
    "balance": (
        "{available:,} credits available, {held:,} held.",
        "사용 가능 크레딧 {available:,}개, 보류 {held:,}개.",
    ),
    "debt": (
        "{debt:,} credits are owed: they were spent, and the bank took their payment back.",
        "갚아야 할 크레딧 {debt:,}개: 이미 쓴 크레딧의 결제 금액을 카드사가 가져갔습니다.",
    ),
    "bought": (
        "{credits:,} credits bought for {amount:,} won.",
        "크레딧 {credits:,}개를 {amount:,}원에 샀습니다.",
    ),
    "awaiting_payment": (
        "Waiting for the payment service ({purchase}).",
        "결제사의 응답을 기다리는 중입니다 ({purchase}).",
    ),
    "pay_in_app": (
        "Complete the payment in the app, then: echoshot payments show {purchase}",
        "앱에서 결제를 마친 뒤 확인하세요: echoshot payments show {purchase}",
    ),
    "pay_later": (
        "The payment service has not answered yet; the purchase goes on by itself: echoshot payments show {purchase}",
        "결제사가 아직 응답하지 않습니다. 구매는 저절로 이어집니다: echoshot payments show {purchase}",
    ),
    "resuming_purchase": (
        "Going on with purchase {purchase}, which was interrupted before.",
        "중단되었던 구매 {purchase}을(를) 이어서 진행합니다.",
    ),
    "refund_line": (
        "  refund {at}: {amount:,} won for {credits:,} credits, {status}",
        "  환불 {at}: {amount:,}원 (크레딧 {credits:,}개), {status}",
    ),
    "refund_to_needs_charge": (
        "--refund-to belongs to --charge.",
        "--refund-to는 --charge와 함께 씁니다.",
    ),
    "won": ("{amount:,} won", "{amount:,}원"),
    "granted": ("{credits:,} credits given to {user}.", "{user}에게 크레딧 {credits:,}개를 주었습니다."),
    "come_back": (
        "The job goes on. Come back with: echoshot watch {job}",
        "작업은 계속 진행됩니다. 다시 보기: echoshot watch {job}",
    ),
    "resume_upload": (
        "The upload can go on where it stopped: run the same command again.",
        "멈춘 곳부터 이어서 업로드할 수 있습니다. 같은 명령을 다시 실행하세요.",
    ),
    "resume_download": (
        "The download can go on where it stopped: {command}",
        "멈춘 곳부터 이어서 받을 수 있습니다: {command}",
    ),
    "upload_refused": (
        "The store refused the upload ({status}).",
        "저장소가 업로드를 거부했습니다 ({status}).",
    ),
    "upload_incomplete": ("The upload could not be completed.", "업로드를 끝내지 못했습니다."),
    "download_damaged": (
        "The downloaded file does not have the right SHA-256 and was deleted.",
        "내려받은 파일의 SHA-256이 맞지 않아 삭제했습니다.",
    ),
    "more": ("More: {command}", "더 보기: {command}"),
    "nothing": ("Nothing yet.", "아직 없습니다."),
    "interrupted": ("Interrupted.", "중단했습니다."),
    "eta": ("about {time} left", "약 {time} 남음"),
    # Music and clips
    "song_line": (
        "Song {start} to {end}: {bpm:.1f} bpm, {beats} beats a bar, key: {tonality}",
        "노래 {start}~{end}: {bpm:.1f} bpm, 마디당 {beats}박, 조: {tonality}",
    ),
    "no_key_found": ("not clear", "뚜렷하지 않음"),
    "loudness_line": (
        "Loudness {lufs:.1f} LUFS, range {range:.1f} LU, peak {peak:.1f} dBTP",
        "음량 {lufs:.1f} LUFS, 범위 {range:.1f} LU, 최대 {peak:.1f} dBTP",
    ),
    "best_parts": ("Best parts:", "가장 좋은 부분:"),
    "range_alone": (
        "--start and --end go together, and without --length, --type, --count and --all.",
        "--start와 --end는 함께 쓰며, --length, --type, --count, --all과는 같이 쓰지 않습니다.",
    ),
    "clip_failed": (
        "{name} was not made and cost nothing: {reason}",
        "{name}은(는) 만들지 못했으며 비용이 없습니다: {reason}",
    ),
    "clips_beyond": (
        "There are no more such parts than {found}; the others cost nothing.",
        "그런 부분은 {found}개뿐입니다. 나머지는 비용이 없습니다.",
    ),
    # Journals and receipts
    "exporting": ("Exporting", "내보내기"),
    "verifying": ("Verifying", "검증"),
    "exported": ("Saved {rows} transfers as {path}.", "거래 {rows}건을 {path}에 저장했습니다."),
    "export_cut_off": (
        "The export broke off; nothing was saved. Try again.",
        "내보내기가 중간에 끊겨 저장하지 않았습니다. 다시 시도해 주세요.",
    ),
    "verified": (
        "{path} is whole and as it was sealed: {rows} transfers in {blocks} blocks.",
        "{path}: 빠짐없이 봉인된 그대로입니다. 거래 {rows}건, 블록 {blocks}개.",
    ),
    "last_block": ("Last block: {hash}", "마지막 블록: {hash}"),
    "signed_by": ("Signed by the given key {key_id}.", "주어진 키 {key_id}의 서명이 맞습니다."),
    "origin_unproven": (
        "Warning: this proves integrity, not origin. The file itself names its key, {key_id}; "
        "give the platform's own with --key FILE.",
        "주의: 변조 여부만 확인했으며 출처는 증명되지 않았습니다. 키 {key_id}은(는) 파일이 스스로 밝힌 것입니다. "
        "플랫폼의 공개 키를 --key FILE로 지정하세요.",
    ),
    "unsigned": (
        "Warning: nobody has signed it, so whoever can recompute hashes could have made it.",
        "주의: 서명이 없습니다. 해시를 다시 계산할 수 있는 누구나 만들 수 있는 파일입니다.",
    ),
    "unsigned_blocks": (
        "Note: {count} blocks were sealed before there was a signing key.",
        "참고: 블록 {count}개는 서명 키가 생기기 전에 봉인되었습니다.",
    ),
    "not_as_sealed": ("NOT as it was sealed.", "봉인된 그대로가 아닙니다."),
    "more_faults": ("... and {count} more.", "... 외 {count}건."),
    "receipt_whole": ("{path} is as it was signed.", "{path}: 서명된 그대로입니다."),
    "receipt_forged": (
        "{path} is NOT as it was signed, or another key has signed it.",
        "{path}: 서명된 그대로가 아니거나 다른 키로 서명되었습니다.",
    ),
    "no_key": ("{path} holds no Ed25519 public key.", "{path}에 Ed25519 공개 키가 없습니다."),
    "at_row": ("row {position}", "{position}번 행"),
    "at_rows": ("rows {first} to {last}", "{first}~{last}번 행"),
    "at_block": ("block {height}", "블록 {height}"),
    "at_transfer": ("transfer {id}", "거래 {id}"),
    "at_line": ("line {line} of the file", "파일 {line}째 줄"),
    "at_file": ("the file", "파일"),
    "changed": ("changed", "내용이 바뀜"),
    "removed": ("removed", "빠짐"),
    "inserted": ("inserted", "끼워 넣음"),
    "moved": ("moved", "순서가 바뀜"),
    "duplicated": ("duplicated", "중복됨"),
    "truncated": ("cut off after", "뒤가 잘림"),
    "wrong_block": ("wrong block", "블록이 맞지 않음"),
    "wrong_signature": ("wrong or missing signature", "서명이 없거나 맞지 않음"),
    "not_chained": ("the expected block is not in the chain", "기대한 블록이 이어져 있지 않음"),
    "resaved": ("saved again by a spreadsheet or an editor", "스프레드시트나 편집기로 다시 저장됨"),
    "verify_original": (
        "A program that opens a file may rewrite its lines when it saves it. Verify the file as it was exported, "
        "or export anew.",
        "파일을 열어 저장하는 프로그램은 줄을 바꾸어 쓸 수 있습니다. 내보낸 원본을 검증하거나 다시 내보내세요.",
    ),
    "resaved_whole": (
        "Note: a spreadsheet or an editor has saved the file again ({traces}); what it says is as it was sealed.",
        "참고: 스프레드시트나 편집기로 다시 저장된 파일입니다({traces}). 내용은 봉인된 그대로입니다.",
    ),
    # Columns
    "col_id": ("id", "ID"),
    "col_kind": ("kind", "종류"),
    "col_status": ("status", "상태"),
    "col_progress": ("progress", "진행"),
    "col_credits": ("credits", "크레딧"),
    "col_created": ("created", "생성"),
    "col_step": ("what", "구분"),
    "col_available": ("available", "사용 가능"),
    "col_held": ("held", "보류"),
    "col_reason": ("reason", "사유"),
    "col_job": ("job", "작업"),
    "col_package": ("package", "상품"),
    "col_price": ("price", "가격"),
    "col_refunded": ("refunded", "환불"),
    "col_start": ("start", "시작"),
    "col_end": ("end", "끝"),
    "col_section": ("part", "구간"),
    "col_label": ("label", "반복"),
    "col_confidence": ("confidence", "확신"),
    "col_score": ("score", "점수"),
    "col_why": ("why", "이유"),
    "col_file": ("file", "파일"),
    "col_size": ("size", "크기"),
    # Stages, states and transfers
    "ingest": ("check", "확인"),
    "upscale": ("upscale", "업스케일"),
    "interpolate": ("interpolate", "프레임 보간"),
    "mux": ("assemble", "합치기"),
    "analyse": ("listen", "음악 분석"),
    "cut": ("cut", "자르기"),
    "intro": ("intro", "인트로"),
    "verse": ("verse", "절"),
    "chorus": ("chorus", "후렴"),
    "bridge": ("bridge", "브리지"),
    "interlude": ("interlude", "간주"),
    "climax": ("climax", "클라이맥스"),
    "outro": ("outro", "아웃트로"),
    "music": ("music", "음악"),
    "talk": ("talk", "말"),
    "applause": ("applause", "박수"),
    "silence": ("silence", "조용함"),
    "repetition": ("comes back", "반복됨"),
    "loudness": ("loud", "소리가 큼"),
    "position": ("well placed", "자리가 좋음"),
    "CREATED": ("waiting for upload", "업로드 대기"),
    "INGESTED": ("checking", "확인 중"),
    "QUEUED": ("queued", "대기 중"),
    "RUNNING": ("running", "진행 중"),
    "SUCCEEDED": ("done", "완료"),
    "FAILED": ("failed", "실패"),
    "CANCELED": ("canceled", "취소됨"),
    "EXPIRED": ("expired", "만료됨"),
    "grant": ("granted", "지급"),
    "hold": ("held", "보류"),
    "capture": ("used", "사용"),
    "release": ("released", "반환"),
    "expire": ("expired", "만료"),
    "purchase": ("bought", "구매"),
    "refund": ("refunded", "환불"),
    "dispute": ("disputed", "분쟁"),
    "correction": ("corrected", "정정"),
    "AWAITING_PAYMENT": ("waiting for payment", "결제 대기"),
    "PAID": ("paid", "결제 완료"),
    # A refund's states: `SUCCEEDED` of a job is another word.
    "refund_REQUESTED": ("requested", "요청됨"),
    "refund_PENDING": ("under way", "처리 중"),
    "refund_SUCCEEDED": ("paid out", "완료"),
    "refund_FAILED": ("failed", "실패"),
}


class Messages:
    def __init__(self, locale: str) -> None:
        self.locale = locale
        """`ko` or `en`; also sent to the API as Accept-Language."""

    @classmethod
    def from_environment(cls) -> Messages:
        # POSIX order: the first of these that is set decides.
        language = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
        return cls("ko" if language.lower().startswith("ko") else "en")

    def __call__(self, key: str, **values: object) -> str:
        en, ko = TEXTS[key]
        return (ko if self.locale == "ko" else en).format(**values)

    def name(self, word: str, of: str = "") -> str:
        """A stage or state in the user's language; one that this version does not know, as it is."""
        return self(of + word) if of + word in TEXTS else word
