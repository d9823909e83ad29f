"""What the manifests are made of, as plain dicts; `render.py` writes them down."""
