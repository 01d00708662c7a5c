-- Named filters of the list of incidents.
--   owner  SHA-256 of the key, or of the name of the provider's person, who saved it; '' for a view that everybody sees
--   query  the filters as they stand in the address, without '?'
CREATE TABLE saved_views (
    owner      text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    query      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, name)
);

-- The last question of a person whether a tracker takes tickets, and the answer of the next run of `export`.
--   accepts  NULL until the answer, and where the tracker is not configured
CREATE TABLE tracker_checks (
    tracker     text COLLATE "C" PRIMARY KEY,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    asked_by    text NOT NULL,
    answered_at timestamptz,
    accepts     boolean,
    answer      text NOT NULL DEFAULT ''
);
