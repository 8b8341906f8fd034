package dynamodb

import "sync"

// running knows the items that writes and transactions are busy with, from
// before they wait for their turn until they are done.
type running struct {
	mu           sync.Mutex
	writes       map[itemID]int
	transactions map[itemID]bool
}

// beginWrite enters plain writes. It says which of ids are part of a running
// transaction; these are not entered.
func (r *running) beginWrite(ids []itemID) (inConflict map[itemID]bool, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writes == nil {
		r.writes = map[itemID]int{}
	}
	inConflict = map[itemID]bool{}
	var entered []itemID
	for _, id := range ids {
		if r.transactions[id] {
			inConflict[id] = true
			continue
		}
		r.writes[id]++
		entered = append(entered, id)
	}
	return inConflict, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range entered {
			if r.writes[id]--; r.writes[id] == 0 {
				delete(r.writes, id)
			}
		}
	}
}

// beginTransaction enters a transaction that writes. It says which of ids are
// part of another; if any is, it enters nothing.
func (r *running) beginTransaction(ids []itemID) (inConflict map[itemID]bool, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transactions == nil {
		r.transactions = map[itemID]bool{}
	}
	inConflict = map[itemID]bool{}
	for _, id := range ids {
		if r.transactions[id] {
			inConflict[id] = true
		}
	}
	if len(inConflict) > 0 {
		return inConflict, func() {}
	}
	for _, id := range ids {
		r.transactions[id] = true
	}
	return nil, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range ids {
			delete(r.transactions, id)
		}
	}
}

// written says which of ids are being written, by a transaction or otherwise.
func (r *running) written(ids []itemID) (inConflict map[itemID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inConflict = map[itemID]bool{}
	for _, id := range ids {
		if r.transactions[id] || r.writes[id] > 0 {
			inConflict[id] = true
		}
	}
	return inConflict
}
