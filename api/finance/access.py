"""Who may read the books."""

from __future__ import annotations

from typing import Annotated

from api.auth import Caller, Role
from api.staff import staff

Finance = Annotated[Caller, staff(Role.FINANCE, Role.ADMIN)]
