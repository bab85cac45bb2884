"""A small CRM to try the gateway with: 20 employees, 500 customers, leads and work orders.

    if await install(conn): ...     # False where a real CRM has its views: nothing was touched

It is also the example of an adapter: crm.sql makes tables the way a CRM has them, then the
contract's views over them (docs/crm-contract.md).
"""

from gateway.demo.install import install

__all__ = ["install"]
