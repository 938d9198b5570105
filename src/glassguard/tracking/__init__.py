"""Records of stages (outbox) and their upsert into MLflow."""
