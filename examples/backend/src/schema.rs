//! Tables and seed rows. Created at start where they are missing; several processes may start at once.

use deadpool_postgres::Client;

/// Serialises the creation among processes: `CREATE TABLE IF NOT EXISTS` alone can collide with itself.
const LOCK: i64 = 0x6c6f_6164;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS manga (
    id bigint PRIMARY KEY, title text NOT NULL, author text NOT NULL, genre text NOT NULL,
    popularity integer NOT NULL, synopsis text NOT NULL);
CREATE INDEX IF NOT EXISTS manga_popularity ON manga (popularity DESC, id);

CREATE TABLE IF NOT EXISTS accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
    stars bigint NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS settings (name text PRIMARY KEY, value jsonb NOT NULL);

CREATE TABLE IF NOT EXISTS streamers (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, language text NOT NULL, followers integer NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, streamer_id uuid NOT NULL REFERENCES streamers (id),
    title text NOT NULL, live boolean NOT NULL);
CREATE INDEX IF NOT EXISTS events_streamer ON events (streamer_id) WHERE live;

CREATE TABLE IF NOT EXISTS votes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, idempotency_key text NOT NULL UNIQUE,
    event text NOT NULL, weight integer NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS vote_tallies (
    event text PRIMARY KEY, votes bigint NOT NULL, weight bigint NOT NULL);

CREATE TABLE IF NOT EXISTS files (
    id uuid PRIMARY KEY, name text NOT NULL, content_type text NOT NULL, bytes bigint NOT NULL, sha256 text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE IF NOT EXISTS invoices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts (id),
    stars bigint NOT NULL CHECK (stars > 0), created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS payments (
    invoice_id bigint PRIMARY KEY REFERENCES invoices (id), charge text NOT NULL, stars bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE IF NOT EXISTS balances (
    account_id bigint PRIMARY KEY REFERENCES accounts (id), credited bigint NOT NULL DEFAULT 0,
    spent bigint NOT NULL DEFAULT 0 CHECK (spent <= credited));
CREATE TABLE IF NOT EXISTS credits (
    event text PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts (id), tokens bigint NOT NULL CHECK (tokens > 0),
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS calls (
    id uuid PRIMARY KEY, first_id bigint NOT NULL REFERENCES accounts (id), second_id bigint NOT NULL REFERENCES accounts (id),
    started_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz);
";

// Messages of chat are indexed as they are written. Those with a `seed` are the index's own (see `routes/search.rs`).
const CHAT: &str = "
ALTER TABLE accounts ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS accounts_name ON accounts (name text_pattern_ops);

CREATE TABLE IF NOT EXISTS channels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, channel_id bigint NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    author_id bigint REFERENCES accounts (id), kind text NOT NULL, text text NOT NULL, extra jsonb, topic text, seed bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED);
CREATE INDEX IF NOT EXISTS messages_channel ON messages (channel_id, id DESC);
CREATE INDEX IF NOT EXISTS messages_words ON messages USING gin (words);
CREATE UNIQUE INDEX IF NOT EXISTS messages_seed ON messages (seed) WHERE seed IS NOT NULL;
CREATE TABLE IF NOT EXISTS topics (name text PRIMARY KEY, messages bigint NOT NULL);
CREATE INDEX IF NOT EXISTS topics_name ON topics (name text_pattern_ops);
CREATE TABLE IF NOT EXISTS notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts (id),
    message_id bigint NOT NULL REFERENCES messages (id) ON DELETE CASCADE, created_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz);
CREATE INDEX IF NOT EXISTS notifications_unread ON notifications (account_id, id DESC) WHERE read_at IS NULL;
CREATE INDEX IF NOT EXISTS notifications_message ON notifications (message_id);
";

const BOOKING: &str = "
CREATE TABLE IF NOT EXISTS mentors (
    id bigint PRIMARY KEY, name text NOT NULL, subject text NOT NULL, language text NOT NULL, cents integer NOT NULL,
    rating double precision NOT NULL, bio text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', name || ' ' || subject || ' ' || bio)) STORED);
CREATE INDEX IF NOT EXISTS mentors_words ON mentors USING gin (words);
CREATE TABLE IF NOT EXISTS recordings (
    id bigint PRIMARY KEY, mentor_id bigint NOT NULL REFERENCES mentors (id), title text NOT NULL, bytes bigint NOT NULL);
CREATE TABLE IF NOT EXISTS bookings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mentor_id bigint NOT NULL REFERENCES mentors (id),
    starts_at timestamptz NOT NULL, account_id bigint NOT NULL REFERENCES accounts (id), cents integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (mentor_id, starts_at));
CREATE TABLE IF NOT EXISTS booking_payments (
    booking_id bigint PRIMARY KEY REFERENCES bookings (id) ON DELETE CASCADE, idempotency_key text NOT NULL, cents integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());

INSERT INTO mentors
SELECT n, (ARRAY['Ada', 'Ben', 'Chloe', 'Dev', 'Elif', 'Femi', 'Grace', 'Hugo', 'Ines', 'Jun'])[1 + n % 10] || ' ' || n,
       (ARRAY['mathematics', 'piano', 'rust', 'french', 'chess', 'drawing', 'physics', 'writing'])[1 + n % 8],
       (ARRAY['en', 'de', 'ja', 'pt', 'tr'])[1 + n / 8 % 5], 2000 + n * 7919 % 8000, 3 + (n * 31 % 21) / 10.0,
       'Teaches ' || (ARRAY['beginners', 'children', 'professionals', 'people who come back to it'])[1 + n % 4] || ' since '
           || 1990 + n % 30 || '.'
FROM generate_series(1, 500) AS n
ON CONFLICT DO NOTHING;
INSERT INTO recordings
SELECT id, id, 'A lesson with ' || name, 4000000 + id * 104729 % 8000000 FROM mentors
ON CONFLICT DO NOTHING;
ANALYZE mentors, recordings";

// Seeds are a function of the row's number: the same everywhere, so that a profile may rely on /manga/1.
const MANGA: &str = "
INSERT INTO manga
SELECT n, 'Manga ' || n || (ARRAY[' of the Sea', ' of the Wind', ' of the Moon', ' of the City'])[1 + n % 4],
       'Author ' || n % 97, (ARRAY['adventure', 'romance', 'mystery', 'sports', 'horror'])[1 + n % 5],
       (n * 7919 % 100003)::int, repeat('What happens in volume ' || n || '. ', 8)
FROM generate_series(1, $1::bigint) AS n
ON CONFLICT DO NOTHING";

const OTHERS: &str = "
INSERT INTO streamers
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'streamer-' || n,
       (ARRAY['en', 'de', 'ja', 'pt'])[1 + n % 4], n * 37 % 10007
FROM generate_series(1, 200) AS n
ON CONFLICT DO NOTHING;
INSERT INTO events (streamer_id, title, live)
SELECT id, 'Event ' || k || ' of ' || name, k <= 3
FROM streamers, generate_series(1, 5) AS k
WHERE NOT EXISTS (SELECT FROM events);
INSERT INTO settings VALUES
    ('votes', '{\"weights\": [1, 2, 3, 4, 5], \"open\": true}'), ('stars', '{\"packages\": [50, 100, 500]}'),
    ('features', '{\"live\": true, \"search\": true}')
ON CONFLICT DO NOTHING;
ANALYZE manga, streamers, events";

/// Creates tables and seed rows where they are missing.
pub async fn create(client: &mut Client, manga: i64) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(TABLES).await?;
    transaction.batch_execute(CHAT).await?;
    transaction.execute(MANGA, &[&manga]).await?;
    transaction.batch_execute(OTHERS).await?;
    transaction.batch_execute(BOOKING).await?;
    transaction.commit().await
}
