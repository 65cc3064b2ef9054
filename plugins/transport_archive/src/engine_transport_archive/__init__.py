"""The image transport ``archive``: docker-archive, OCI archive, OCI directory."""
