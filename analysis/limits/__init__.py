"""Upper limits on a signal in a mass spectrum."""
