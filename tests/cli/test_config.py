from __future__ import annotations

import stat
from pathlib import Path

from cli.config import Login, default_api_url, login_for, save_login
from cli.pending import pending_job

ONE, TWO = (
    Login("https://one", "secret-1"),
    Login("https://two", "secret-2", "https://issuer", "alice", "admin"),
)
BODY = {
    "kind": "enhance",
    "params": {"scale": 2},
    "source": {"upload": {"filename": "a.mp4", "sha256": "aa", "bytes": 1}},
}


def test_nobody_else_can_read_a_stored_token(home: Path):
    save_login(ONE)
    for path in home.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "config" / "echoshot").stat().st_mode) == 0o700


def test_a_token_is_only_given_to_the_api_that_it_was_stored_for(home: Path):
    save_login(TWO)
    save_login(ONE)
    assert default_api_url() == "https://one"
    assert (login_for("https://one"), login_for("https://two")) == (ONE, TWO)
    assert login_for("https://three") is None


def test_a_damaged_file_counts_as_signed_out(home: Path):
    save_login(ONE)
    (home / "config" / "echoshot" / "login.json").write_text("{")
    assert default_api_url() == ""
    assert login_for("https://one") is None


def test_the_same_file_and_wishes_find_the_same_unfinished_request(home: Path):
    first = pending_job("https://one", "usr_1", "/v1/jobs", BODY)
    renamed = {**BODY, "source": {"upload": {**BODY["source"]["upload"], "filename": "b.mp4"}}}
    again = pending_job("https://one", "usr_1", "/v1/jobs", renamed)
    assert (first.resumed, again.resumed) == (False, True)
    assert (again.key, again.body) == (first.key, BODY)


def test_other_wishes_users_files_and_apis_are_other_requests(home: Path):
    other_file = {**BODY, "source": {"upload": {**BODY["source"]["upload"], "sha256": "bb"}}}
    found = [
        pending_job("https://one", "usr_1", "/v1/jobs", BODY),
        pending_job("https://one", "usr_1", "/v1/jobs", {**BODY, "params": {"scale": 1}}),
        pending_job("https://one", "usr_1", "/v1/jobs", other_file),
        pending_job("https://one", "usr_2", "/v1/jobs", BODY),
        pending_job("https://two", "usr_1", "/v1/jobs", BODY),
    ]
    assert len({pending.key for pending in found}) == len(found)
    found[0].forget()
    assert not pending_job("https://one", "usr_1", "/v1/jobs", BODY).resumed
    assert pending_job("https://one", "usr_2", "/v1/jobs", BODY).resumed
