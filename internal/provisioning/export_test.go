package provisioning

import "context"

// SweepSecrets is what Sweep does once an hour.
func (s *Sweeper) SweepSecrets(ctx context.Context) error { return s.sweepSecrets(ctx) }
