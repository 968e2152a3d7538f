package optimize

// dce drops what nothing reads.
func (s *state) dce() error {
	for s.more() {
		n := s.g.Prune()
		if n == 0 {
			return nil
		}
		s.rewrote("dce", nil, nil)
	}
	return nil
}
