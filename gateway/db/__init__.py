"""The database: a pool, the migrations, and the type that SQL functions take.

await migrate(dsn)
async with await open_pool(dsn, application_name="gateway") as pool, pool.acquire() as conn:
    await employees.find(conn, 17)
"""

from gateway.db.arrays import bigints
from gateway.db.conn import Conn
from gateway.db.crm_views import CrmViews
from gateway.db.migrate import MIGRATIONS, MigrationError, migrate, pending
from gateway.db.pool import Pool, configure, connect, open_pool
from ingest import AWAY_ERRORS

__all__ = [
    "AWAY_ERRORS",
    "MIGRATIONS",
    "Conn",
    "CrmViews",
    "MigrationError",
    "Pool",
    "bigints",
    "configure",
    "connect",
    "migrate",
    "open_pool",
    "pending",
]
