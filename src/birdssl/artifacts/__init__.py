"""What lies on disk: stage directories, manifests, shards, weights, labels; written whole or not at all."""
