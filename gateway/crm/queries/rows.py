"""Rows of the CRM's views with columns that a view may lack, as parts of other statements.

A name without a table is that of the innermost query that has it: `url` below is the view's column
where there is one, otherwise that of `absent`, which is NULL. PostgreSQL resolves it when it
prepares a statement, and again after a view was replaced; a value costs nothing.
"""

from __future__ import annotations

EMPLOYEES = """(VALUES (NULL::text, NULL::text)) AS absent (external_id, url)
         CROSS JOIN LATERAL (
               SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.active,
                      external_id::text AS external_id, url::text AS url
                 FROM crm.employees AS e) AS e"""
"""All employees e; in parentheses, as one side of a join."""

CUSTOMERS = """(VALUES (NULL::text, NULL::text)) AS absent (external_id, url)
         CROSS JOIN LATERAL (
               SELECT c.id, c.name, c.company,
                      external_id::text AS external_id, url::text AS url
                 FROM crm.customers AS c) AS one"""
"""All customers one."""
