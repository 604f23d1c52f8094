-- Waits for those who store pages, and they for us: a body that is found known must still be there when its version
-- is written.
LOCK TABLE cixml.page_bodies IN SHARE ROW EXCLUSIVE MODE
