//! What all handlers share: the configuration, the pool of PostgreSQL, the connection to Redis, the metrics.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio_postgres::NoTls;

use crate::config::Config;
use crate::faults::Faults;
use crate::files::Files;
use crate::metrics::Metrics;
use crate::schema;

/// So long the first connection may take.
const START_WAIT: Duration = Duration::from_secs(10);
/// So long Redis may take to answer. The library's own limit of 0.5 s fails requests wherever the machine stands still for a moment.
const REDIS_WAIT: Duration = Duration::from_secs(30);

/// The application; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// The configuration it was started with.
    pub config: Config,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Slowness and errors on demand.
    pub faults: Faults,
    /// Where uploads are kept.
    pub files: Files,
    pool: Pool,
    redis: ConnectionManager,
}

/// Why the application could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `DATABASE_URL` can't be read, the database can't be reached, or the schema can't be made.
    #[error("DATABASE_URL: {0}")]
    Database(String),
    /// `REDIS_URL` can't be read or Redis can't be reached.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] redis::RedisError),
    /// The directory of uploads can't be made.
    #[error("FILES_DIR: {0}")]
    Files(#[from] std::io::Error),
    /// Two metrics of one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl App {
    /// Connects to both stores and creates the schema and its seed rows where they are missing.
    pub async fn connect(config: Config) -> Result<Self, StartError> {
        let mut database: tokio_postgres::Config = config.database_url.parse().map_err(database_error)?;
        database.application_name("example-backend");
        let manager = Manager::from_config(database, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .wait_timeout(Some(config.pool_wait))
            .create_timeout(Some(config.pool_wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StartError::Database(error.to_string()))?;
        // `POOL_WAIT` is for requests: a short one keeps nobody from starting.
        let patient = Timeouts { wait: None, create: Some(START_WAIT), recycle: None };
        let mut client = pool.timeout_get(&patient).await.map_err(|error| StartError::Database(describe(&error)))?;
        schema::create(&mut client, config.seed_rows).await.map_err(database_error)?;
        drop(client);

        let patient =
            ConnectionManagerConfig::new().set_response_timeout(Some(REDIS_WAIT)).set_connection_timeout(Some(START_WAIT));
        let client = redis::Client::open(config.redis_url.as_str())?;
        let redis = ConnectionManager::new_with_config(client, patient).await?;
        let faults = Faults::new(&config);
        let files = Files::new(config.files_dir.as_deref())?;
        Ok(Self(Arc::new(Parts { metrics: Metrics::new()?, faults, files, pool, redis, config })))
    }

    /// A connection to PostgreSQL from the pool.
    pub async fn database(&self) -> Result<Client, PoolError> {
        self.0.pool.get().await
    }

    /// The connection to Redis, shared by all and pipelined.
    pub fn redis(&self) -> ConnectionManager {
        self.0.redis.clone()
    }

    /// `/metrics` as text; the pool's gauges are read here.
    pub fn exposition(&self) -> String {
        let status = self.0.pool.status();
        self.0.metrics.pool(status.max_size, status.size, status.available, status.waiting);
        self.0.metrics.text()
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The server's own words: `Display` of a database error is only "db error".
fn database_error(error: tokio_postgres::Error) -> StartError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    StartError::Database(format!("{error}{cause}"))
}

fn describe(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}
