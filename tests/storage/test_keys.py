import pytest

from contracts.ids import JobId, UserId, VideoId
from storage import keys


def test_every_file_of_a_job_lies_under_the_prefix_that_retention_deletes():
    job = JobId("j1")
    assert keys.segment_key(job, "abc", 12) == "work/j1/segments/abc/00012"
    results = (keys.result_key(job, "d"), keys.manifest_key(job, "d"), keys.thumbnail_key(job, "d", 50))
    assert all(key.startswith(keys.result_prefix(job)) for key in results)
    assert len(set(results)) == 3


def test_one_users_sources_cannot_share_a_prefix_with_anothers():
    assert keys.source_key(UserId("u1"), VideoId("v1")) == "raw/u1/v1/source"
    assert not keys.source_prefix(UserId("u10"), VideoId("v1")).startswith("raw/u1/")


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_a_name_that_would_leave_its_folder_is_refused(name: str):
    with pytest.raises(ValueError, match="single path part"):
        keys.work_prefix(JobId(name))
