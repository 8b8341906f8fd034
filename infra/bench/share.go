package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A share is how much of a processor a function gets of each period, in
// microseconds: Lambda's goes with the memory.
type share int

const (
	period   = 20_000
	share128 = share(1_450)
	share512 = share(5_800)
)

// groups are where groups of processes are made that have a quota of the
// processors, by the two versions that there are.
var groups = []struct{ dir, period, quota string }{
	{"/sys/fs/cgroup/cpu", "cpu.cfs_period_us", "cpu.cfs_quota_us"},
	{"/sys/fs/cgroup", "", "cpu.max"},
}

var errNoShares = errors.New("shares of a processor need control groups that this user may make")

// hold gives a process no more than the share.
func (s share) hold(pid int) error {
	dir, err := s.group()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600)
}

// group returns the group of the share. It makes it if need be.
func (s share) group() (string, error) {
	for _, g := range groups {
		dir := filepath.Join(g.dir, fmt.Sprintf("tenantry-bench-%d", s))
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
		quota := strconv.Itoa(int(s))
		if g.period == "" {
			quota += " " + strconv.Itoa(period)
		} else if err := os.WriteFile(filepath.Join(dir, g.period), []byte(strconv.Itoa(period)), 0o600); err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, g.quota), []byte(quota), 0o600); err == nil {
			return dir, nil
		}
	}
	return "", errNoShares
}

// removeGroups removes the groups of all shares, in which nothing runs.
func removeGroups() {
	for _, g := range groups {
		for _, s := range []share{share128, share512} {
			_ = os.Remove(filepath.Join(g.dir, fmt.Sprintf("tenantry-bench-%d", s))) // where there is one
		}
	}
}
