//! Rotary embeddings as configurations describe them, in their older and newer spelling.

use super::family::Family;
use super::{ConfigError, Fields};
use crate::load::quantise::{Real, Rope, Scaling};
use serde_json::Value;

impl Fields<'_> {
    /// The frequencies of most layers, and those of layers with a window.
    // spec: ENGINE-15.4
    pub(super) fn ropes(&self, family: Family) -> Result<(Rope, Rope), ConfigError> {
        let field = "rope_parameters";
        let global = if family == Family::Gemma3 { 1_000_000 } else { 10_000 };
        if let Some(value) = self.get(field) {
            if let (Some(full), Some(window)) =
                (value.get("full_attention"), value.get("sliding_attention"))
            {
                let full = self.rope(field, full, global)?;
                return Ok((full, self.rope(field, window, 10_000)?));
            }
            let both = self.rope(field, value, global)?;
            return Ok((both, both));
        }
        let theta = self.theta("rope_theta", global)?;
        let scaling = match self.get("rope_scaling") {
            Some(value) => self.scaling("rope_scaling", value)?,
            None => Scaling::None,
        };
        let full = Rope { theta, scaling };
        if family != Family::Gemma3 {
            return Ok((full, full));
        }
        let theta = self.theta("rope_local_base_freq", 10_000)?;
        Ok((full, Rope { theta, scaling: Scaling::None }))
    }

    fn theta(&self, field: &'static str, otherwise: u32) -> Result<Real, ConfigError> {
        let theta = self.get(field).cloned().unwrap_or_else(|| Value::from(otherwise));
        Real::from_json(&theta).ok_or(ConfigError::Field { field, wanted: "a number above zero" })
    }

    /// The newer spelling: base and scaling in one object.
    fn rope(
        &self,
        field: &'static str,
        value: &Value,
        otherwise: u32,
    ) -> Result<Rope, ConfigError> {
        let scaling = self.scaling(field, value)?;
        let theta = match value.get("rope_theta") {
            Some(theta) => theta.clone(),
            None => self.get("rope_theta").cloned().unwrap_or_else(|| Value::from(otherwise)),
        };
        let wanted = "a rope_theta above zero";
        let theta = Real::from_json(&theta).ok_or(ConfigError::Field { field, wanted })?;
        Ok(Rope { theta, scaling })
    }

    fn scaling(&self, field: &'static str, value: &Value) -> Result<Scaling, ConfigError> {
        let kind = value.get("rope_type").or_else(|| value.get("type"));
        let kind = kind.and_then(Value::as_str).unwrap_or_default();
        let partial = value
            .get("partial_rotary_factor")
            .is_some_and(|part| Real::from_json(part) != Real::from_json(&Value::from(1)));
        self.unless(!partial, field, value, "op set 1 turns whole heads")?;
        let real = |name: &str| {
            let wanted = "an object with the numbers of its rope_type";
            let number = value.get(name).and_then(Real::from_json);
            number.ok_or(ConfigError::Field { field, wanted })
        };
        let reason = match kind {
            "default" => return Ok(Scaling::None),
            "linear" => return Ok(Scaling::Linear(real("factor")?)),
            "llama3" => {
                return Ok(Scaling::Llama3 {
                    factor: real("factor")?,
                    low: real("low_freq_factor")?,
                    high: real("high_freq_factor")?,
                    original: real("original_max_position_embeddings")?,
                });
            }
            "dynamic" | "longrope" => {
                "its frequencies depend on how long a text is, those of op set 1 do not"
            }
            _ => "op set 1 scales rotary embeddings as linear and llama3 do",
        };
        self.unless(false, field, value, reason).map(|()| Scaling::None)
    }
}
