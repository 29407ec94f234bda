"""Changes to what a UNet computes, on the network for the length of a run and gone without a trace after it."""
