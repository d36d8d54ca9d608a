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
    transaction.execute(MANGA, &[&manga]).await?;
    transaction.batch_execute(OTHERS).await?;
    transaction.commit().await
}
