package main

import (
	"bytes"
	"compress/lzw"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

type object = map[string]any

var kinds = map[byte]string{
	0: "ping", 1: "indirectPing", 2: "ackResp", 3: "suspect", 4: "alive", 5: "dead", 11: "nackResp", 13: "error",
}

var byteFields = map[string]bool{
	"Addr": true, "SourceAddr": true, "Target": true, "Meta": true, "Payload": true, "Vsn": true,
}

// reader decodes recorded bytes with the standard library and go-msgpack, not with memberlist's own code.
type reader struct {
	label string
	keys  [][]byte
}

func asHex(b []byte) object { return object{"hex": hex.EncodeToString(b)} }

// datagram decodes a whole datagram.
func (r reader) datagram(b []byte) (object, error) {
	return r.labelled(b, true)
}

// stream decodes all that one side of a connection sent.
func (r reader) stream(b []byte) (object, error) {
	return r.labelled(b, false)
}

func (r reader) labelled(b []byte, isDatagram bool) (object, error) {
	if len(b) > 2 && b[0] == 244 {
		size := int(b[1])
		inner, err := r.encrypted(b[2+size:], isDatagram)
		return object{"label": string(b[2 : 2+size]), "inner": inner}, err
	}
	return r.encrypted(b, isDatagram)
}

func (r reader) encrypted(b []byte, isDatagram bool) (object, error) {
	if len(r.keys) == 0 {
		return r.message(b, isDatagram)
	}
	aad := []byte(r.label)
	if !isDatagram {
		if b[0] != 10 {
			return r.message(b, isDatagram)
		}
		if int(binary.BigEndian.Uint32(b[1:5])) != len(b)-5 {
			return nil, fmt.Errorf("frame length %x of %d bytes", b[1:5], len(b))
		}
		aad = append(append([]byte(nil), b[:5]...), aad...)
		b = b[5:]
	}
	for _, key := range r.keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		plain, err := gcm.Open(nil, b[1:13], b[13:], aad)
		if err != nil {
			continue
		}
		if b[0] == 0 {
			plain = plain[:len(plain)-int(plain[len(plain)-1])]
		}
		inner, err := r.message(plain, isDatagram)
		return object{"encrypt": object{"version": b[0], "nonce": hex.EncodeToString(b[1:13])}, "inner": inner}, err
	}
	return nil, fmt.Errorf("no key opens %x", b)
}

func (r reader) message(b []byte, isDatagram bool) (object, error) {
	if isDatagram && b[0] == 12 {
		if crc32.ChecksumIEEE(b[5:]) != binary.BigEndian.Uint32(b[1:5]) {
			return nil, fmt.Errorf("checksum of %x", b)
		}
		inner, err := r.message(b[5:], isDatagram)
		return object{"hasCrc": hex.EncodeToString(b[1:5]), "inner": inner}, err
	}
	switch b[0] {
	case 6:
		return pushPull(b[1:])
	case 7:
		parts := []object{}
		at := 2 + 2*int(b[1])
		for i := 0; i < int(b[1]); i++ {
			size := int(binary.BigEndian.Uint16(b[2+2*i:]))
			part, err := r.message(b[at:at+size], isDatagram)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
			at += size
		}
		return object{"compound": parts}, nil
	case 8:
		if isDatagram {
			return object{"user": object{"Payload": asHex(b[1:])}}, nil
		}
		rest := bytes.NewReader(b[1:])
		var header struct{ UserMsgLen int }
		if err := codec.NewDecoder(rest, handle()).Decode(&header); err != nil {
			return nil, err
		}
		payload, err := io.ReadAll(rest)
		if len(payload) != header.UserMsgLen {
			return nil, fmt.Errorf("user message of %d bytes says %d", len(payload), header.UserMsgLen)
		}
		return object{"user": object{"Payload": asHex(payload)}}, err
	case 9:
		var c struct {
			Algo uint8
			Buf  []byte
		}
		if err := codec.NewDecoderBytes(b[1:], handle()).Decode(&c); err != nil {
			return nil, err
		}
		plain, err := io.ReadAll(lzw.NewReader(bytes.NewReader(c.Buf), lzw.LSB, 8))
		if err != nil {
			return nil, err
		}
		inner, err := r.message(plain, isDatagram)
		return object{"compress": object{"Algo": c.Algo, "BufLen": len(c.Buf), "plainLen": len(plain), "inner": inner}}, err
	}
	kind, known := kinds[b[0]]
	if !known {
		return nil, fmt.Errorf("unknown type in %x", b)
	}
	fields, err := fieldsFrom(codec.NewDecoderBytes(b[1:], handle()))
	return object{kind: fields}, err
}

func pushPull(b []byte) (object, error) {
	rest := bytes.NewReader(b)
	decoder := codec.NewDecoder(rest, handle())
	header, err := fieldsFrom(decoder)
	if err != nil {
		return nil, err
	}
	nodes := []object{}
	for i := int64(0); i < asInt(header["Nodes"]); i++ {
		node, err := fieldsFrom(decoder)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	userState, err := io.ReadAll(rest)
	if int64(len(userState)) != asInt(header["UserStateLen"]) {
		return nil, fmt.Errorf("user state of %d bytes, header %v", len(userState), header)
	}
	return object{"pushPull": object{"header": header, "nodes": nodes, "userState": asHex(userState)}}, err
}

func handle() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.RawToString = true
	return h
}

func fieldsFrom(decoder *codec.Decoder) (object, error) {
	fields := object{}
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	for name, value := range fields {
		if !byteFields[name] {
			continue
		}
		switch v := value.(type) {
		case string:
			fields[name] = asHex([]byte(v))
		case []byte:
			fields[name] = asHex(v)
		}
	}
	return fields, nil
}

func asInt(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case uint64:
		return int64(n)
	default:
		panic(fmt.Sprintf("not an integer: %T", v))
	}
}
