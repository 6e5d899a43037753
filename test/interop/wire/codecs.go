package main

import (
	"bytes"
	"compress/lzw"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	old "github.com/hashicorp/go-msgpack/codec"
	"github.com/hashicorp/go-msgpack/v2/codec"
)

// lengths has the field types of memberlist's headers and messages.
type lengths struct {
	Nodes int
	SeqNo uint32
}

// integers shows how the two generations of go-msgpack write int and uint32 fields.
func integers() []object {
	vectors := []object{}
	for _, value := range []int{0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		var older, newer bytes.Buffer
		record := lengths{value, uint32(value)}
		must(old.NewEncoder(&older, &old.MsgpackHandle{}).Encode(&record))
		must(codec.NewEncoder(&newer, &codec.MsgpackHandle{}).Encode(&record))
		vectors = append(vectors, object{
			"value": value, "v0.5.5": hex.EncodeToString(older.Bytes()), "v2": hex.EncodeToString(newer.Bytes()),
		})
	}
	return vectors
}

// pseudoRandom makes bytes below `alphabet` from a linear congruential generator: state = state * 1664525 + 1013904223,
// the byte is (state >> 16) % alphabet.
func pseudoRandom(seed uint32, alphabet uint32, length int) []byte {
	b := make([]byte, length)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte((seed >> 16) % alphabet)
	}
	return b
}

func compressed(input []byte) []byte {
	var out bytes.Buffer
	w := lzw.NewWriter(&out, lzw.LSB, 8)
	_, err := w.Write(input)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// lzwVectors shows what compress/lzw makes of short and long inputs.
func lzwVectors() []object {
	vectors := []object{}
	for _, input := range []string{"", "a", "ab", "aa", "aaa", strings.Repeat("a", 300), "TOBEORNOTTOBEORTOBEORNOT", "\x00\xff\x00\xff"} {
		vectors = append(vectors, object{
			"input": hex.EncodeToString([]byte(input)), "output": hex.EncodeToString(compressed([]byte(input))),
		})
	}
	// Lengths around each widening of the codes, and around the emptying of the table.
	for _, recipe := range []struct {
		seed, alphabet uint32
		lengths        []int
	}{
		{1, 256, []int{253, 254, 255, 256, 257, 766, 767, 768, 1790, 1791, 1792, 3834, 3835, 3836, 3837, 3838, 3839, 3840, 3841, 3842, 3900, 100_000}},
		{2, 2, []int{1000, 65_536, 1_000_000}},
		{3, 1, []int{10_000, 7_400_000}},
		{4, 20, []int{5_000, 50_000}},
	} {
		for _, length := range recipe.lengths {
			output := compressed(pseudoRandom(recipe.seed, recipe.alphabet, length))
			sum := sha256.Sum256(output)
			vectors = append(vectors, object{
				"seed": recipe.seed, "alphabet": recipe.alphabet, "length": length,
				"outputLength": len(output), "outputSha256": hex.EncodeToString(sum[:]),
			})
		}
	}
	return vectors
}
