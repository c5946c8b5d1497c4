"""People, as their identity provider names them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import UserId
from db.ids import new_id
from db.tables import User


async def ensure_user(session: AsyncSession, *, issuer: str, subject: str, email: str, locale: str) -> User:
    """The user of (issuer, subject), created at the first sight; two first requests at once make one user."""
    by_identity = select(User).where(User.issuer == issuer, User.subject == subject)
    user = await session.scalar(by_identity)
    if user is None:
        await session.execute(
            insert(User)
            .values(id=new_id("usr"), issuer=issuer, subject=subject, email=email, locale=locale)
            .on_conflict_do_nothing(index_elements=[User.issuer, User.subject])
        )
        user = (await session.scalars(by_identity)).one()
    if (user.email, user.locale) != (email, locale):
        user.email, user.locale = email, locale
    return user


async def find_user(session: AsyncSession, *, issuer: str, subject: str) -> User | None:
    return await session.scalar(select(User).where(User.issuer == issuer, User.subject == subject))


async def get_user(session: AsyncSession, user_id: UserId) -> User | None:
    return await session.get(User, user_id)
