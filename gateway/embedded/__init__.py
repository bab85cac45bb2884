"""PostgreSQL and Valkey as children of this process, for a laptop, a demo and the tests.

    with start_postgres(state) as postgres, start_valkey(state) as valkey:
        run(database_url=postgres.dsn(), redis_url=valkey.url)

Both listen on unix sockets in a directory that only this user can enter, never on TCP. They end
with the process that started them, even when it is killed; PostgreSQL keeps its data.
"""

from gateway.embedded.errors import AlreadyRunning, DidNotStart, EmbeddedError, NoBinaries
from gateway.embedded.postgres import Postgres, start_postgres
from gateway.embedded.valkey import Valkey, start_valkey

__all__ = [
    "AlreadyRunning",
    "DidNotStart",
    "EmbeddedError",
    "NoBinaries",
    "Postgres",
    "Valkey",
    "start_postgres",
    "start_valkey",
]
