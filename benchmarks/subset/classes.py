"""The 80 classes of COCO: category id, name, supercategory, and annotations in instances_train2017.json (860,001 with crowd regions)."""

from __future__ import annotations

from typing import NamedTuple


class CocoClass(NamedTuple):
    """One category and how many annotations it has in train2017."""

    id: int
    name: str
    theme: str
    annotations: int


_TABLE = {
    "person": "1 person 262465",
    "vehicle": "2 bicycle 7113, 3 car 43867, 4 motorcycle 8725, 5 airplane 5135, 6 bus 6069, 7 train 4571, 8 truck 9973, 9 boat 10759",
    "outdoor": "10 traffic light 12884, 11 fire hydrant 1865, 13 stop sign 1983, 14 parking meter 1285, 15 bench 9838",
    "animal": "16 bird 10806, 17 cat 4768, 18 dog 5508, 19 horse 6587, 20 sheep 9509, 21 cow 8147, 22 elephant 5513, 23 bear 1294, "
    "24 zebra 5303, 25 giraffe 5131",
    "accessory": "27 backpack 8720, 28 umbrella 11431, 31 handbag 12354, 32 tie 6496, 33 suitcase 6192",
    "sports": "34 frisbee 2682, 35 skis 6646, 36 snowboard 2685, 37 sports ball 6347, 38 kite 9076, 39 baseball bat 3276, "
    "40 baseball glove 3747, 41 skateboard 5543, 42 surfboard 6126, 43 tennis racket 4812",
    "kitchen": "44 bottle 24342, 46 wine glass 7913, 47 cup 20650, 48 fork 5479, 49 knife 7770, 50 spoon 6165, 51 bowl 14358",
    "food": "52 banana 9458, 53 apple 5851, 54 sandwich 4373, 55 orange 6399, 56 broccoli 7308, 57 carrot 7852, 58 hot dog 2918, "
    "59 pizza 5821, 60 donut 7179, 61 cake 6353",
    "furniture": "62 chair 38491, 63 couch 5779, 64 potted plant 8652, 65 bed 4192, 67 dining table 15714, 70 toilet 4157",
    "electronic": "72 tv 5805, 73 laptop 4970, 74 mouse 2262, 75 remote 5703, 76 keyboard 2855, 77 cell phone 6434",
    "appliance": "78 microwave 1673, 79 oven 3334, 80 toaster 225, 81 sink 5610, 82 refrigerator 2637",
    "indoor": "84 book 24715, 85 clock 6334, 86 vase 6613, 87 scissors 1481, 88 teddy bear 4793, 89 hair drier 198, 90 toothbrush 1954",
}


def _parsed(theme: str, entry: str) -> CocoClass:
    id, *name, annotations = entry.split()
    return CocoClass(int(id), " ".join(name), theme, int(annotations))


CLASSES = tuple(_parsed(theme, entry) for theme, listed in _TABLE.items() for entry in listed.split(", "))
