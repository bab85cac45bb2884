"""Frames in, frames out.

listener ─▶ admission ─▶ session ─▶ subscriptions, watch ─▶ outgoing. Node puts the parts together:
uvicorn.Config(app, ws=protocol_class(lambda: node), http=http_protocol_class(lambda: node))
"""
