"""What a sweep will do, before anything is trained."""
