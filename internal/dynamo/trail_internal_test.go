package dynamo

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However many records each source gives at once, and a filter leaves of them, a trail
// takes what there is newest first, and knows down to where that is all.
func TestTrailMerges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, shards).Draw(rt, "sources")
		kept := make([][]string, n) // in each source, by each read: what the filter leaves
		floors := make([][]string, n)
		var all []string
		for i := rapid.IntRange(0, 40).Draw(rt, "records"); i > 0; i-- {
			s, sk := rapid.IntRange(0, n-1).Draw(rt, "source"), fmt.Sprintf("%03d", i)
			text := ""
			if rapid.Bool().Draw(rt, "passes") {
				text, all = sk, append(all, sk)
			}
			kept[s], floors[s] = append(kept[s], text), append(floors[s], sk)
		}
		walk := trail{wanted: rapid.IntRange(1, 40).Draw(rt, "wanted")}
		sources, at := make([]source, n), make([]int, n)
		for ended := false; !ended && len(walk.found) < walk.wanted; {
			for i := range sources {
				s := &sources[i]
				if !s.dry() {
					continue
				}
				for range rapid.IntRange(1, 5).Draw(rt, "read") {
					if s.done = at[i] == len(kept[i]); s.done {
						break
					}
					if s.floor = floors[i][at[i]]; kept[i][at[i]] != "" {
						s.items = append(s.items, auditItem{key: key{SK: kept[i][at[i]]}})
					}
					at[i]++
				}
			}
			var floor string
			floor, ended = walk.take(sources)
			var found []string
			for _, item := range walk.found {
				found = append(found, item.SK)
			}
			if !slices.Equal(found, all[:min(len(found), len(all))]) {
				rt.Fatalf("found %v of %v", found, all)
			}
			rest := all[len(found):]
			if ended && len(rest) > 0 || !ended && len(found) < walk.wanted && len(rest) > 0 && strings.Compare(rest[0], floor) > 0 {
				rt.Fatalf("found %v down to %q (ended: %v), and left %v", found, floor, ended, rest)
			}
		}
	})
}
