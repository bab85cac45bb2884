"""Frames in, frames out.

uvicorn.Config(app, ws=protocol_class(lambda: node), http=edge_class(lambda: node))
"""
