//! How many connections are made to a target before their clients come, and for how long they wait.
//! Pure: keeps account of them and says what should be done.

mod demand;
mod idle_life;
mod pool;

pub(crate) use pool::Pool;
