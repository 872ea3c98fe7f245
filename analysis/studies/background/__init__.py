"""The study `background`: what estimates of the background are worth on a mass spectrum, and which are safe there."""
