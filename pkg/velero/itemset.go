// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// Use accounts for memory, in bytes, before it is taken. If it returns an error, reading ends with
// that error.
type Use func(bytes int64) error

const (
	// maxItems is the largest number of items of a Backup that are compared.
	maxItems = 1 << 20
	// itemSize is the memory for each of them, in bytes, and itemsAtOnce the number of items for
	// which memory is taken at once.
	itemSize, itemsAtOnce = 8, 1 << 13
)

// itemSet is a set of items with a small value for each, in 8 bytes for each: a hash of the item
// with the value in its lowest bits. Two items have the same hash by chance only, because the
// hashes of another process differ. It must be sorted before it is searched.
type itemSet struct {
	use    Use
	hashes []uint64
}

// valueMask has the bits of the value.
const valueMask = 7

var hashSeed = maphash.MakeSeed()

// hashOf returns the hash of an item, without a value.
func hashOf(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64() &^ valueMask
}

// add adds a hash, with a value of at most valueMask in its lowest bits.
func (s *itemSet) add(hash uint64) error {
	if len(s.hashes) == maxItems {
		return fmt.Errorf("it has more than %d items", maxItems)
	}
	if len(s.hashes) == cap(s.hashes) {
		more := max(itemsAtOnce, cap(s.hashes)/2)
		if err := s.use(int64(more) * itemSize); err != nil {
			return err
		}
		s.hashes = slices.Grow(s.hashes, more)
	}
	s.hashes = append(s.hashes, hash)
	return nil
}

func (s *itemSet) sort() { slices.Sort(s.hashes) }

// find returns the value of the item with a hash; ok is false if it is not in the set.
func (s *itemSet) find(hash uint64) (value uint64, ok bool) {
	i, _ := slices.BinarySearch(s.hashes, hash)
	if i == len(s.hashes) || s.hashes[i]&^valueMask != hash {
		return 0, false
	}
	return s.hashes[i] & valueMask, true
}
