INSERT INTO cixml.page_bodies (sha256, body) VALUES (%(sha256)s, %(body)b) ON CONFLICT DO NOTHING
