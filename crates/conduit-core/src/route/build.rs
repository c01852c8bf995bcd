//! The builders of an application's layers and endpoints, which its list of routes fills.

use std::borrow::Cow;
use std::rc::Rc;

use super::CrossOrigin;
use crate::endpoint::Endpoint;
use crate::layer::erased::ErasedLayer;
use crate::layer::{CrossOriginGuard, with_credentials};

/// The result of [`Node::make`](super::Node::make).
#[derive(Default)]
pub struct LayerBuilder {
    pub made: Vec<Box<dyn ErasedLayer>>,
    /// The names of the layers around the next route, the outermost first.
    pub(super) open: Vec<Cow<'static, str>>,
    /// The same for each route so far.
    pub(super) layers: Vec<Vec<Cow<'static, str>>>,
}

impl LayerBuilder {
    /// Adds what `routes` routes share.
    pub(crate) fn add_mount(&mut self, made: Box<dyn ErasedLayer>, routes: usize) {
        self.made.push(made);
        self.layers.extend(std::iter::repeat_n(self.open.clone(), routes));
    }
}

/// The result of [`Node::connect`](super::Node::connect): the handlers of an application on one worker, in the order of the table.
pub struct EndpointBuilder {
    pub(super) endpoints: Vec<(Rc<dyn Endpoint>, CrossOrigin)>,
    made: std::vec::IntoIter<Box<dyn ErasedLayer>>,
}

impl EndpointBuilder {
    pub(crate) fn new(made: Vec<Box<dyn ErasedLayer>>) -> Self {
        EndpointBuilder {
            endpoints: Vec::new(),
            made: made.into_iter(),
        }
    }

    /// The endpoints, with `guard` for those with ambient extractors; `is_ambient` is set if a layer of the application has
    /// some.
    pub(crate) fn finish(self, guard: Option<&CrossOriginGuard>, is_ambient: bool) -> Vec<Rc<dyn Endpoint>> {
        let guarded = |(endpoint, cross_origin): (Rc<dyn Endpoint>, CrossOrigin)| {
            with_credentials(endpoint, cross_origin.in_layer(is_ambient), guard)
        };
        self.endpoints.into_iter().map(guarded).collect()
    }

    /// Takes the next layer or mount.
    ///
    /// # Panics
    ///
    /// Panics if it has another type: entries are connected in the order in which they are made.
    pub(crate) fn take_made<T: 'static>(&mut self) -> T {
        let made = self.made.next().and_then(|made| made.into_any().downcast::<T>().ok());
        *made.expect("the entries of a list are connected in the order in which they are made")
    }

    /// Adds the endpoint of the next route.
    pub(crate) fn add(&mut self, endpoint: Rc<dyn Endpoint>, cross_origin: CrossOrigin) {
        self.endpoints.push((endpoint, cross_origin));
    }
}
