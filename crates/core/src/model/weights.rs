//! Weights that a network starts from, out of a file in the
//! [safetensors](https://github.com/huggingface/safetensors) format.

use super::Network;
use crate::Error;
use crate::data::files::{bad, read, sha256};
use crate::parameters::parameter_shapes;
use burn::Tensor;
use burn::module::{ModuleMapper, Param};
use burn::tensor::{TensorData, bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file of weights.
pub struct Weights {
    path: PathBuf,
    /// Of the whole file.
    sha256: String,
    bytes: Vec<u8>,
    /// Where in `bytes` the numbers of tensors begin.
    start: usize,
    metadata: Metadata,
}

/// The tensor of a file that a parameter of a network starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name of the tensor in the file.
    pub tensor: String,
    /// Whether the file has the matrix as `[outputs, inputs]`: ours are `[inputs, outputs]`.
    pub transposed: bool,
    /// Whether the file may have more rows, of which the first are taken.
    pub first_rows: bool,
}

/// The sources of a network's parameters by their names; a parameter without one is drawn from its stream.
pub type Sources = BTreeMap<String, Source>;

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Weights {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not in the safetensors format.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read(path)?;
        let wrong = |error: safetensors::SafeTensorError| {
            let other = path.extension().is_none_or(|extension| extension != "safetensors");
            let hint = if other {
                "take the file `model.safetensors`"
            } else {
                "it is truncated or damaged; fetch it again"
            };
            bad(path, format!("is not in the safetensors format ({error}): {hint}"))
        };
        // The length of the header, in eight bytes, goes before it.
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
        // That the tensors fill the file.
        SafeTensors::deserialize(&bytes).map_err(wrong)?;
        let sha256 = sha256(&bytes);
        Ok(Self { path: path.to_owned(), sha256, bytes, start: header + 8, metadata })
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Names of its tensors, in alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.metadata.tensors().into_keys().collect();
        names.sort_unstable();
        names
    }

    /// Shape of a tensor, if it is there.
    #[must_use]
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        self.metadata.info(tensor).map(|info| info.shape.as_slice())
    }

    /// Whether two tensors hold the same bytes.
    #[must_use]
    pub fn same(&self, one: &str, other: &str) -> bool {
        self.bytes_of(one).is_some() && self.bytes_of(one) == self.bytes_of(other)
    }

    /// That the file is wrong.
    pub fn refuse(&self, reason: impl Into<String>) -> Error {
        bad(&self.path, reason)
    }

    fn bytes_of(&self, tensor: &str) -> Option<&[u8]> {
        let (begin, end) = self.metadata.info(tensor)?.data_offsets;
        self.bytes.get(self.start + begin..self.start + end)
    }

    /// The numbers of a tensor.
    fn values(&self, tensor: &str) -> Result<Vec<f32>, Error> {
        let (Some(info), Some(bytes)) = (self.metadata.info(tensor), self.bytes_of(tensor)) else {
            return Err(self.refuse(format!("lacks `{tensor}`")));
        };
        let halves = || bytes.as_chunks::<2>().0.iter();
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => halves().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Dtype::BF16 => halves().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            other => {
                let reason =
                    format!("`{tensor}` is of type {other:?}, but must be F32, F16 or BF16");
                return Err(self.refuse(reason));
            }
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.refuse(format!("`{tensor}` holds NaN or infinity")));
        }
        Ok(values)
    }

    /// The first `rows` of the matrix `[rows, columns]` called `tensor`, or all of it, with its sides exchanged where
    /// the source says so.
    fn parameter(&self, source: &Source, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let mut values = self.values(&source.tensor)?;
        values.truncate(shape.iter().product());
        if let (true, [inputs, outputs]) = (source.transposed, shape) {
            let column = |input: usize| (0..*outputs).map(move |output| output * inputs + input);
            return Ok((0..*inputs).flat_map(column).map(|place| values[place]).collect());
        }
        Ok(values)
    }

    /// Refuses a tensor that has not the shape of the parameter `name`.
    fn check_shape(&self, name: &str, shape: &[usize], source: &Source) -> Result<(), Error> {
        let Some(found) = self.shape(&source.tensor) else {
            return Err(self.refuse(format!("lacks `{}`, which `{name}` needs", source.tensor)));
        };
        let mut wanted = shape.to_vec();
        if source.transposed {
            wanted.reverse();
        }
        let enough = source.first_rows
            && found.first() >= wanted.first()
            && found.get(1..) == wanted.get(1..);
        if found == wanted.as_slice() || enough {
            return Ok(());
        }
        let or_more = if source.first_rows { ", with as many rows or more" } else { "" };
        Err(self.refuse(format!(
            "`{}` has the shape {found:?}, but `{name}` needs {wanted:?}{or_more}",
            source.tensor
        )))
    }
}

/// Refuses a file that does not fit `network`; the numbers that its parameters start from, by their names.
fn values<N: Network>(network: &N, file: &Weights) -> Result<BTreeMap<String, Vec<f32>>, Error> {
    let sources = network.sources(file)?;
    let shapes = parameter_shapes(network);
    let mut values = BTreeMap::new();
    for (name, source) in &sources {
        let Some((_, shape)) = shapes.get(name) else { continue };
        file.check_shape(name, shape, source)?;
        values.insert(name.clone(), file.parameter(source, shape)?);
    }
    Ok(values)
}

/// Refuses a file from which `network` cannot start.
///
/// # Errors
/// With the file, the parameter, and what would be right.
pub fn check<N: Network>(network: &N, file: &Weights) -> Result<(), Error> {
    values(network, file).map(|_| ())
}

/// `network` with the weights of `file`; parameters that the file lacks, and may lack, stay as they are.
///
/// # Errors
/// As [`check`].
pub fn load<N: Network>(network: N, file: &Weights) -> Result<N, Error> {
    let values = values(&network, file)?;
    Ok(network.map(&mut Mapper { path: Vec::new(), values }))
}

struct Mapper {
    path: Vec<String>,
    values: BTreeMap<String, Vec<f32>>,
}

impl ModuleMapper for Mapper {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&self.path.join(".")) else { return param };
        param.map(|old| {
            let data = TensorData::new(values, old.dims());
            Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
        })
    }
}
