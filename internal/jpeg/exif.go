package jpeg

import (
	"bytes"
	"encoding/binary"
)

// Orientation returns what a JPEG file's Exif data says of how its rows and columns lie, 1 to 8 as in CIPA DC-008 (Exif),
// 4.6.4 A: 1 is upright, 6 is what a camera held upright writes of a sensor that lies. It is 1 where there is nothing to be
// read: data that are damaged say nothing, as they are no part of the picture.
func Orientation(b []byte) int {
	if len(b) < 2 || b[0] != 0xff || b[1] != markSOI {
		return 1
	}
	b = b[2:]
	for len(b) >= 4 && b[0] == 0xff {
		m := b[1]
		if m == 0xff { // a fill byte
			b = b[1:]
			continue
		}
		if m == markTEM || m >= markRST0 && m <= markSOI {
			b = b[2:]
			continue
		}
		n := int(binary.BigEndian.Uint16(b[2:])) + 2
		if m == markSOS || m == markEOI || n < 4 || n > len(b) {
			break
		}
		if tiff, ok := bytes.CutPrefix(b[4:n], []byte("Exif\x00\x00")); ok && m == markAPP1 {
			return tiffOrientation(tiff)
		}
		b = b[n:]
	}
	return 1
}

// tiffOrientation reads the tag Orientation of the first directory of a TIFF file (TIFF 6.0, section 2).
func tiffOrientation(b []byte) int {
	const orientation, byteType, shortType, longType = 0x0112, 1, 3, 4
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 1
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			return 1
		}
		e := entries[:12]
		entries = entries[12:]
		if order.Uint16(e) != orientation {
			continue
		}
		v := uint32(0)
		switch order.Uint16(e[2:]) {
		case byteType:
			v = uint32(e[8])
		case shortType:
			v = uint32(order.Uint16(e[8:]))
		case longType:
			v = order.Uint32(e[8:])
		}
		if order.Uint32(e[4:]) == 1 && v >= 1 && v <= 8 {
			return int(v)
		}
		return 1
	}
	return 1
}
