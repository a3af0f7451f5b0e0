"""Self-supervised losses on global batches of paired embeddings."""
