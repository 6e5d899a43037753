// Package ring measures github.com/serialx/hashring at commit 8b29126 with the nodes and keys of ../cases.ts.
package ring

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/serialx/hashring"
)

const keyCount = 1 << 17

// How many keys the checksum of owners is taken over.
const checkedKeys = 10_000

var sizes = []int{3, 10, 100, 1000}

func makeKeys() []string {
	keys := make([]string, keyCount)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%017d", i*7919)
	}
	return keys
}

func makeNode(i int) string {
	return fmt.Sprintf("10.0.%d.%d:8000", i/250, i%250+1)
}

// Rings and keys are made once; the benchmarks only read them.
var (
	keys  = makeKeys()
	rings = map[int]*hashring.HashRing{}
	sums  = map[int]float64{}
)

func ringOf(size int) *hashring.HashRing {
	if rings[size] == nil {
		rings[size] = makeRing(size)
		sums[size] = checksum(rings[size], size)
	}
	return rings[size]
}

func makeRing(size int) *hashring.HashRing {
	nodes := make([]string, size)
	for i := range nodes {
		nodes[i] = makeNode(i)
	}
	return hashring.New(nodes)
}

// checksum tells whether two rings give the same keys to the same nodes.
func checksum(ring *hashring.HashRing, size int) float64 {
	place := make(map[string]int, size)
	for i := 0; i < size; i++ {
		place[makeNode(i)] = i
	}
	sum := 0
	for i, key := range keys[:checkedKeys] {
		owner, _ := ring.GetNode(key)
		sum += (place[owner] + 1) * (i + 1)
	}
	return float64(sum)
}

func BenchmarkOwner(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ring := ringOf(size)
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if _, ok := ring.GetNode(keys[i&(keyCount-1)]); !ok {
					b.Fatal("no owner")
				}
			}
			b.ReportMetric(sums[size], "checksum")
		})
	}
}

func BenchmarkOwners3(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ring := ringOf(size)
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if owners, _ := ring.GetNodes(keys[i&(keyCount-1)], 3); len(owners) != 3 {
					b.Fatal("not three owners")
				}
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ring := ringOf(size)
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if ring.AddNode(makeNode(size)).Size() != size+1 {
					b.Fatal("not added")
				}
			}
		})
	}
}

func BenchmarkRemove(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ring := ringOf(size)
			node := makeNode(size / 2)
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if ring.RemoveNode(node).Size() != size-1 {
					b.Fatal("not removed")
				}
			}
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// What stays in memory with a ring, per point.
func BenchmarkMemory(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			before := heapBytes()
			ring := makeRing(size)
			bytes := heapBytes() - before
			runtime.KeepAlive(ring)
			b.ReportMetric(float64(bytes)/float64(size*120), "bytes/point")
		})
	}
}
