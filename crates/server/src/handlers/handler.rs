//! Functions that are handlers.

use std::pin::Pin;
use std::sync::Arc;

use super::context::Context;
use super::extract::Extract;
use super::refusal::Rejected;
use super::states::Needs;

/// What a handler does.
pub(super) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A function that is called at a moment `C`: an async function, or a closure that
/// returns a future, of 0 to 9 parameters, of which each can be [asked for](Extract).
/// They are taken from the left; the first that is not there is what the client is
/// refused for. The parameters of a closure have their types written down; `M` is
/// those, and found by the compiler.
///
/// ```
/// use fanwire::{Application, Json, Rejected, Socket, State};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Letter {
///     to: String,
///     text: String,
/// }
///
/// async fn write(socket: Socket, Json(letter): Json<Letter>) -> Result<&'static str, Rejected> {
///     socket.to(letter.to).emit("letter", letter.text).await?;
///     Ok("sent")
/// }
///
/// let application = Application::new()
///     .state("motto".to_owned())
///     .namespace("/", |root| {
///         root.on("write", write);
///         root.on("motto", async |State(motto): State<String>| motto);
///         root.on("add", async |a: i64, b: i64| a + b);
///         root.on("nothing", async || ());
///     })
///     .unwrap();
/// ```
///
/// What handlers share is asked for by [`State`](crate::State). A closure may capture
/// instead; then it hands its future a clone (`async move |…|` cannot be called twice):
///
/// ```
/// # fanwire::Application::new().namespace("/", |root| {
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let count = Arc::new(AtomicU64::new(0));
/// root.on("count", move || {
///     let count = count.clone();
///     async move { count.fetch_add(1, Ordering::Relaxed) }
/// });
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler at a `{C}`",
    label = "is not called at a `{C}`",
    note = "a handler is an async function, or a closure that returns a future (`async |socket: Socket, text: \
            String| …`), of at most 9 parameters; a closure's parameters need their types",
    note = "every parameter implements `Extract<{C}>`: `Socket`, `Io`, `State<T>`, `Kept<T>`, `Subject`; \
            arguments of an event: `String`, numbers, `bool`, `Bytes`, `Json<T>` for types of your own and lists \
            (`T: serde::Deserialize`), tuples of them, `Args`, `EventName`; `Auth` in `on_connect`; `Reason` in \
            `on_disconnect`; the `T` of `State<T>` is `Clone`",
    note = "its future is `Send`: no `Rc` and no lock's guard is held across an `.await`; a closure that captures \
            hands its future a clone: `move |…| {{ let x = x.clone(); async move {{ … }} }}`"
)]
pub trait Handler<C, M>: Send + Sync + 'static {
    /// What it comes to.
    type Output: Send + 'static;

    /// Calls it.
    fn call(
        self: Arc<Self>,
        context: C,
    ) -> impl Future<Output = Result<Self::Output, Rejected>> + Send + 'static;

    /// The states that it asks for.
    fn needs(needs: &mut Needs);
}

macro_rules! handlers {
    ($($name:ident)*) => {
        #[allow(non_snake_case, unused_mut, unused_variables)]
        impl<C, Fn_, Fut, $($name,)*> Handler<C, ($($name,)*)> for Fn_
        where
            C: Context + 'static,
            Fn_: Fn($($name,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: Send + 'static> + Send + 'static,
            $($name: Extract<C> + 'static,)*
        {
            type Output = Fut::Output;

            async fn call(self: Arc<Self>, mut context: C) -> Result<Fut::Output, Rejected> {
                $(let $name = $name::extract(&mut context).await?;)*
                drop(context);
                Ok(self($($name,)*).await)
            }

            fn needs(needs: &mut Needs) {
                $($name::needs(needs);)*
            }
        }
    };
}
handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B D);
handlers!(A B D E);
handlers!(A B D E F);
handlers!(A B D E F G);
handlers!(A B D E F G H);
handlers!(A B D E F G H I);
handlers!(A B D E F G H I J);
