"""The people and machines of a call centre, as Locust users, one module for each kind.

locustfile.py ─▶ chat, phones, office ─▶ connected ─▶ ChatSocket. `seats` and `options` say who they
are; `shapes` says how many at which time; `figures` keeps exact times. Only the modules with users
import Locust, which patches the whole process.
"""
