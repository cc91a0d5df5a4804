use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};
use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::MAX_AMOUNT;

/// An instant in an answer or an input.
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub(crate) Timestamp);

/// An instant in UTC, RFC 3339, millisecond precision.
#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map(Self).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Timestamp> for DateTime {
    fn from(instant: Timestamp) -> Self {
        Self(instant)
    }
}

/// A count or amount in an answer or an input.
#[derive(Debug, Clone, Copy)]
pub struct UInt53(pub(crate) u64);

/// A whole number from 0 to 2^53 - 1, as a JSON number. GraphQL's Int ends at 2^31 - 1, too small for bytes.
#[Scalar(name = "UInt53")]
impl ScalarType for UInt53 {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => match number.as_u64() {
                Some(whole) if whole <= MAX_AMOUNT => Ok(Self(whole)),
                _ => Err(InputValueError::custom("not a whole number from 0 to 2^53 - 1")),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0))
    }
}

impl From<u64> for UInt53 {
    fn from(whole: u64) -> Self {
        // Sums are kept to the largest figure; what a caller of the library put past it is shown as that.
        Self(whole.min(MAX_AMOUNT))
    }
}
