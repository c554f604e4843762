"""Connection set-up: from accept to relay."""
