"""The object store (S3): presigned URLs, multipart, download, upload, integrity, key layout."""
