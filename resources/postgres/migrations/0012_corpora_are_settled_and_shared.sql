-- Settings of a corpus, and grants that an owner gives.

ALTER TABLE cixml.corpora
    ADD title            text,
    ADD require_if_match boolean NOT NULL DEFAULT false,
    ADD version          int NOT NULL DEFAULT 1,
    ADD updated_at       timestamptz NOT NULL DEFAULT now();

-- A grant may come before the first thing that its caller ever asks.
ALTER TABLE cixml.grants DROP CONSTRAINT grants_caller_id_fkey;
ALTER TABLE cixml.grants ADD granted_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ix_grants__corpus_id ON cixml.grants (corpus_id);

-- As before, but a corpus that is being deleted shows nothing of what is in it.
CREATE OR REPLACE FUNCTION cixml.visible_corpora() RETURNS uuid[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
    DECLARE
        me  text := cixml.caller();
        one uuid := nullif(current_setting('cixml.corpus_id', true), '');
    BEGIN
        IF one IS NULL THEN
            RETURN ARRAY(SELECT id FROM corpora WHERE owner = me AND deleted_at IS NULL
                         UNION SELECT c.id FROM grants g JOIN corpora c ON c.id = g.corpus_id
                         WHERE g.caller_id = me AND c.deleted_at IS NULL);
        END IF;
        RETURN ARRAY(SELECT id FROM corpora WHERE id = one AND deleted_at IS NULL AND (owner = me
                         OR EXISTS (SELECT FROM grants g WHERE g.corpus_id = one AND g.caller_id = me)));
    END $$;

-- The corpora in which the caller may do what one of these roles may.
CREATE FUNCTION cixml.corpora_as(VARIADIC roles text[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
    DECLARE me text := cixml.caller();
    BEGIN
        RETURN ARRAY(SELECT id FROM corpora WHERE owner = me AND deleted_at IS NULL
                     UNION SELECT c.id FROM grants g JOIN corpora c ON c.id = g.corpus_id
                     WHERE g.caller_id = me AND g.role = ANY (roles) AND c.deleted_at IS NULL);
    END $$;

DROP POLICY own_or_granted ON cixml.corpora;
CREATE POLICY own_or_granted ON cixml.corpora FOR SELECT TO cixml_api
    USING (owner = (SELECT cixml.caller())
        OR EXISTS (SELECT 1 FROM cixml.grants g WHERE g.corpus_id = id AND g.caller_id = (SELECT cixml.caller())));
CREATE POLICY made_by_its_owner ON cixml.corpora FOR INSERT TO cixml_api
    WITH CHECK (owner = (SELECT cixml.caller()));
CREATE POLICY changed_by_owners ON cixml.corpora FOR UPDATE TO cixml_api
    USING (id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
GRANT UPDATE (title, require_if_match, version, updated_at, deleted_at) ON cixml.corpora TO cixml_api;

-- Whoever it is given to sees a grant; owners of the corpus see, give and take it.
CREATE POLICY given_by_owners ON cixml.grants TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
CREATE POLICY changed_by_owners ON cixml.grants AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
CREATE POLICY updated_by_owners ON cixml.grants AS RESTRICTIVE FOR UPDATE TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
CREATE POLICY taken_by_owners ON cixml.grants AS RESTRICTIVE FOR DELETE TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
GRANT INSERT, DELETE, UPDATE (role, granted_at) ON cixml.grants TO cixml_api;

-- A reader sees a corpus and submits nothing to it.
DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['jobs', 'job_items', 'work_queue'] LOOP
        EXECUTE format('CREATE POLICY submitted_by_writers ON cixml.%I AS RESTRICTIVE FOR INSERT TO cixml_api '
            'WITH CHECK (corpus_id = ANY ((SELECT cixml.corpora_as(''writer'', ''owner''))::uuid[]))', relation);
    END LOOP;
END $$;
