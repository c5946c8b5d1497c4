import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.parts import PART_BYTES_MIN, PARTS_MAX, part_bytes, part_count, part_size

TIB = 1024**4


@given(st.integers(min_value=0, max_value=5 * TIB))
def test_parts_of_any_size_up_to_5_tib_obey_the_limits_of_s3(total: int):
    count = part_count(total)
    assert 1 <= count <= PARTS_MAX
    assert part_bytes(total) >= PART_BYTES_MIN
    last = part_size(total, count)
    assert 0 <= last <= part_bytes(total)
    assert (count - 1) * part_bytes(total) + last == total
    assert last > 0 or total == 0


def test_a_part_number_outside_the_upload_is_refused():
    for number in (0, 2, -1):
        with pytest.raises(ValueError, match="of 1"):
            part_size(100, number)
