"""The words of the stories, and the reader of their tables.

LISTS: the name of a rule and its equally likely words. TABLES: the name of
a pool and of its fields, then a record a line, split at ` / `. Indented
lines continue. Every record also gets the field `a`: its article and name.
"""

import re

CAST = {"hero": "child", "friend": "child",
        "thing2": "thing", "thing3": "thing", "month2": "month",
        "weekday2": "weekday", "like2": "like", "like3": "like"}
PRONOUNS = ("he", "him", "his", "himself")

GIRLS = """Mia Lily Zoe Nora Ruby Ella Hana Ivy Clara Rosa Maya Alice Daisy
Freya Greta Holly Iris June Kira Leila Molly Nina Olive Penny Stella Tess
Uma Vera Willa Yara"""
BOYS = """Tom Ben Max Leo Sam Finn Oscar Hugo Jack Kai Luca Milo Noah Omar
Pablo Ravi Theo Felix Victor Wyatt Yusuf Zane Adam Boris Caleb Dylan Eli
Gus Harry Quinn"""

LISTS = """
sky: sunny | windy | cloudy | rainy | foggy | chilly | bright | warm | cold |
  misty | dark | mild | quiet | hot | damp
number: five | seven | nine | ten | twelve | thirteen | twenty | thirty |
  forty | ninety
number2: six | eight | eleven
hours: two | three | four
dawn: breakfast | yesterday | Tuesday | sunrise
dusk: dark | sunset | supper | six o'clock
smell: wonderful | of honey and home | of summer | so good that two bees
  followed it | better than a birthday | like a whole bakery
bland: nothing | dust | old socks | chalk | wet paper | soap | rain
busy: with a ladder on one shoulder | with a cold and a big scarf | in boots
  that were much too large | eating a carrot | humming an old tune | with a
  bucket of paint | on one roller skate | leading a cow on a string | with
  leaves in every pocket | in a paper crown | carrying a pillow | out of
  breath | with a jar of tadpoles | under a huge umbrella | reading a book
  upside down | with flour up to the elbows | in a raincoat and sandals |
  pulling a squeaky wagon | hopping on one leg | with a fishing rod | wearing
  two hats | after a long nap | chewing on a straw | covered in mud
tidbit: string and snail shells | acorns | bread crusts | stamps from far away
  | pebbles | bent nails | letters to the moon | rubber bands | lemon drops |
  maps of nowhere
sleep: like a stone | better than a king | soundly | with a smile | until noon
  | in both socks | upside down
treat: hot chocolate | pancakes | soup for everyone | tea with honey | popcorn
  | waffles | noodles | dumplings
together: went everywhere together | were the best of friends | met every
  {weekday} | told this story at every party | shared all their secrets |
  never quarreled again, except about {like3}
moon: a round moon rose over the roofs | the first star came out | the
  crickets began to sing | the lamps were lit one by one | somewhere an owl
  asked who
hideout: behind the shed | under the bridge | inside a hollow log | in every
  bush | between the nettles | behind a pile of bricks | under the hedge | in
  a rain barrel
hideout2: in the mailbox | on top of the wall | down the well | under a
  wheelbarrow | beneath the stairs | in a crow's nest | up the chimney |
  inside a tuba
rug: under the rug | behind the stove | beneath the sofa | into an old boot |
  under the bed | into the piano
mischief: chasing the cat | playing pirates | dancing with a broom | bouncing
  a ball | riding the mop | hunting imaginary lions | practicing the cartwheel
  | marching to no music
regret: a little ashamed | smaller than a mouse | a stone in {his} stomach |
  that something was wrong | very sorry | like a sock without its twin | cold
  inside
shelf: on the shelf | by the window | on the piano | beside the clock | above
  the fireplace | in the hall | near the stairs
red: tomato | beet | cherry | strawberry | fire engine | poppy | lobster
shelter: an old barn | a hollow tree | the boathouse | a cave | an empty wagon
  | the bell tower | a shed full of brooms | a big barrel
weary: looked tired | had a sore back | was rubbing both knees | leaned on a
  stick | was sighing like a kettle | had lost both gloves
sadly: with wet socks | without a word | with a bruise and a frown | in the
  rain | by the back door | dragging both feet
blisters: two blisters | dirt up to the ears | a very red nose | hay in every
  pocket | splinters | an enormous appetite
fast: the wind | any dog | the mail | a hare | an express train | gossip | a
  rolling cheese
oops: salt | pepper | mustard | soap flakes | fish sauce | plaster | onions |
  candle wax
proper: sugar | butter | vanilla | honey | cinnamon | milk | eggs | yeast
laughed: their sides hurt | the windows rattled | the neighbors came | it was
  dark | the clock struck nine
dark: in the cellar | in the kitchen | behind the wall | under the floor | in
  the pantry | above the ceiling | on the porch
noise: Scratch, scratch | Bump, bump, bump | Tap, tap | Crunch, crunch |
  Squeak | Rattle, rattle | Thud | Slurp, slurp
monster: a ghost | a burglar | a bear | a pirate | a troll | the tax collector
weapon: a broom | an umbrella | a frying pan | a tennis racket | the biggest
  pillow | a wooden spoon | an oar | a rolled-up map
lamp: a candle | the lantern | one match | the big lamp
petname: Sir Nibbles | Thunder | Mrs. Crumb | Pirate | Button | Professor |
  Noodle | Old Joe
garden: behind the house | in a flower pot | next to the gate | in an old boot
  | beside the chimney | under the washing line
watered: watered it | sang to it | sat beside it | read to it | told it the
  news
plant: a sunflower as tall as a tower | an apple tree full of birds | a
  pumpkin the size of a cart | a beanstalk with blue flowers | a rose bush
  that smelled of lemons | a lemon tree with one huge lemon
magic: a bang | a puff of smoke | a smell of burnt toast | a purple flash | a
  sound like a hiccup | a rain of glitter
oldbox: the attic | a library book | an old coat | a bottle | a secret drawer
  | a cuckoo clock
junk: a tin soldier | a glass eye | a milk tooth | a wooden duck | a bent
  spoon | one button | half a harmonica | some rusty medals
story_of: about the summer when it was hidden | what had been written on the
  back | where the next one was buried | who had drawn the map
"""

TABLES = """
trait: name / now
curious / now looks before leaping
brave / now knows that fear is no shame
clever / now asks others first
cheerful / has learned to cry a little too
stubborn / listens on Sundays
gentle / can roar like a lion if it must be
quiet / sometimes sings out loud
noisy / has learned to whisper
dreamy / now watches where the road goes
patient / no longer waits for everything
bold / no longer jumps off roofs
shy / now waves at everyone
playful / works before playing
proud / bows a little lower
lively / takes a nap now and then
messy / puts away one sock a day
polite / sometimes shouts hooray
hungry / always leaves the last bite for a friend
serious / laughs at least twice a day
impatient / can sit still for an hour
untidy / makes the bed when guests come
adventurous / comes home for supper

home: name
by the sea
near the river
at the edge of the forest
behind the mill
at the end of a long road
on top of a windy hill
beside the railway
across from the school
next to the market
under the tall cliffs
in a sleepy village
on a small island
between two mountains
above the harbor

color: name
red
blue
green
yellow
orange
purple
white
brown
silver
golden
shiny
striped
spotted
pink

thing: name / use
kite / fly it above the roofs
drum / beat it before breakfast
ball / kick it against the wall
whistle / blow it at the ducks
scarf / wear it in the bath
hat / wave it at the trains
umbrella / dance with it in the rain
paper boat / sail it in the fountain
teddy bear / tell it secrets
lantern / swing it in the dark
notebook / draw dragons in it
spoon / balance it on one nose
marble / roll it down the stairs
feather / tickle the cat with it
blanket / build tents out of it
bell / ring it at dinner
mirror / make faces in it
flute / play it to the cows
puppet / make it talk like a duke
basket / carry it like a crown
bucket / fill it with frogs
toy horse / race it along the floor
compass / follow it around the kitchen
shell / listen to it for hours
ribbon / twirl it in the air
key / poke it into every lock
telescope / count the stars with it
yo-yo / swing it over the bridge
top / spin it on the table
sled / slide down the stairs on it
accordion / play polkas on it
necktie / wear it to bed

mishap: name / clue
A gust of wind pulled it out of {his} hands, and it was gone. / The wind had
  dropped it there.
A big dog snatched it and ran away. / The dog was sleeping right beside it.
A cheeky crow swooped down and stole it. / Above it sat the crow, and it
  looked guilty.
{He} put it down to tie a shoe, and when {he} looked up, it had vanished. /
  Two hedgehogs were moving in.
On the way back {he} fell asleep on the grass, and when {he} woke up, it was
  not there. / A squirrel had filled it with nuts.
While {he} was watching a snail, a wave of sheep came by and swept it away. /
  A sheep was chewing on one corner of it.

month: name
January
February
March
April
May
June
July
August
September
October
November
December

weekday: name
Monday
Tuesday
Wednesday
Thursday
Friday
Saturday

like: name
rain
jam
spiders
trains
arithmetic
bees
cats
clouds
songs
turnips
thunder
ladders
ghosts
geese
whales
soup
volcanoes
buttons
puddles
riddles
dragons
snails
stamps
haircuts
pigeons
bicycles
comets
elephants
clocks
pirates
mushrooms
owls
wooden legs
cabbage
dentists
lightning
barrel organs
moths
kings
noodle soup

size: name
large
small
warm
fresh
fine
crooked
enormous
homemade
rather flat
lopsided

coat: name
wet
muddy
tiny
fat
fluffy
sleepy
scruffy
dusty
spotted
shaggy
noisy
friendly
old

elder: name / he / him / his
Grandma / she / her / her
Grandpa / he / him / his
Mother / she / her / her
Father / he / him / his
Aunt Rose / she / her / her
Uncle Joe / he / him / his
Aunt Matilda / she / her / her
Uncle Barnaby / he / him / his
Nana / she / her / her
Cousin Bea / she / her / her
Great-Uncle Otto / he / him / his
Aunt Philippa / she / her / her

place: name / at / to / spot / scene
park / in the park / to the park / [under a bench|behind the slide|beside the
  duck pond|between the rose bushes] / [The swings creaked|Sparrows were
  quarreling|A brass band was tuning up]
beach / at the beach / to the beach / [behind a sand castle|under a
  boat|between two rocks|in a tide pool] / [The waves came and went|Gulls
  laughed overhead|The sand was full of tiny holes]
forest / in the forest / to the forest / [under a fern|behind a mossy stone|at
  the foot of an oak|near a fox den] / [A woodpecker knocked|It smelled of
  pine|Something rustled and was still]
market / at the market / to the market / [under the fish stall|behind the
  pumpkins|beside the cheese cart] / [Somebody was shouting about cabbages|The
  bells rang|It smelled of fish and oranges]
farm / on the farm / to the farm / [behind the hay bales|in the pig
  trough|under the tractor|beside the hen house] / [A rooster crowed at the
  wrong hour|The cows were chewing|Chickens ran in all directions]
orchard / in the orchard / to the orchard / [under a ladder|beside the oldest
  pear tree|behind a barrel] / [Wasps hummed|Plums fell with soft thumps|The
  grass was wet]
lake / by the lake / to the lake / [among the reeds|under the jetty|near the
  swans] / [A heron stood on one leg|Rowing boats knocked together|The water
  was like glass]
castle / at the old castle / to the old castle / [behind the broken gate|under
  the stone lion|in the dry well] / [Jackdaws circled the tower|The wind
  played in the empty windows|Ivy covered the walls]
station / at the station / to the station / [under the big clock|behind a
  trunk|beside track nine] / [A train whistled far away|The clock was
  late|People with suitcases hurried by]
library / at the library / to the library / [between two atlases|under the
  spiral stairs|behind the globe] / [A clock ticked|Somebody was snoring in an
  armchair|It smelled of paper and polish]
windmill / at the windmill / to the windmill / [behind the grain sacks|under
  the turning sails|beside the millstone] / [The sails groaned|White dust hung
  in the air|A cat slept on the sacks]
meadow / in the meadow / to the meadow / [beside a molehill|in the tall
  grass|under a thistle|behind the scarecrow] / [Grasshoppers fiddled|The
  poppies were out|Two butterflies were dancing]
circus / at the circus / to the circus / [behind the striped tent|under the
  clown car|next to the elephant] / [A clown was doing the dishes|Somewhere a
  lion yawned|The acrobats were having lunch]
lighthouse / at the lighthouse / to the lighthouse / [on the lowest
  step|behind the fog horn|under a coil of rope] / [The sea was far below|A
  seal barked|The great lamp turned slowly]

pastime: name / past
fly paper planes / flew paper planes
skip stones / skipped stones
build a dam / built a dam
chase butterflies / chased butterflies
pick wild flowers / picked wild flowers
play marbles / played marbles
watch the boats / watched the boats
climb the tallest tree / climbed the tallest tree
look for dragons / looked for dragons

food: name / short
apple pie / pie
chocolate cake / cake
honey cake / cake
cinnamon roll / roll
cheese pancake / pancake
raspberry scone / scone
cheese sandwich / sandwich
ginger cookie / cookie
melon / melon
onion tart / tart
raisin bun / bun
plum pudding / pudding
omelet / omelet
slab of gingerbread / gingerbread

fragile: name
vase
teapot
music box
lamp
sugar bowl
violin
glass swan
china dog
egg cup
snow globe
ink bottle

weather: name / noise / after
Black clouds rolled over the hills, and thunder began to growl. / the rain
  drummed and the lightning danced / a rainbow stood over the puddles
The wind rose and shook the trees like rattles. / branches snapped and hats
  flew by / the whole road was covered with leaves
Hail began to fall, in lumps as big as plums. / the ice banged like a hundred
  drums / the ground glittered like sugar
Snow came down so thickly that the path was gone. / the white wind howled and
  whirled / the world was soft and silent
Thick fog crept in and swallowed the houses one by one. / somebody blew a
  horn, far away and sad / the sun came through like a warm coin

talent: name / fail / win
ride a bicycle / steered straight into a hedge / rode past the school without
  a wobble
swim / swallowed half the pond / swam to the far bank and back
whistle / only blew crumbs / whistled so well that three birds answered
juggle / dropped an egg on the cat / kept four lemons in the air
bake bread / made a loaf as hard as a brick / baked a loaf so light that it
  nearly floated
skate / slid under a parked cart / skated a perfect figure eight
play the trumpet / scared every hen in the yard / played a tune, and the hens
  danced
tie a sailor's knot / tied both thumbs together / tied a knot that no sailor
  could undo
walk on stilts / fell into the laundry / walked over the fence on stilts
do a handstand / kicked over the flower pots / stood upside down for a whole
  minute
catch a fish / hooked an old boot / caught a trout and let it go again
paint a horse / painted something like a sofa with legs / painted a horse that
  seemed to gallop
knit / made a sock for a snake / knitted a sweater with two good sleeves
dive / landed flat on the water with a slap / dived in without a splash

worker: name / he / his / task / why / gift
baker / she / her / carry the flour sacks inside / it is going to rain / a
  warm bun
gardener / he / his / water {number} rows of beans / my watering can leaks / a
  pear
miller / he / his / sweep the mill / the mice are winning / a bag of oats
fisherman / he / his / mend the nets / the boats leave at dawn / a silver
  herring
tailor / she / her / sort a thousand buttons / my eyes are weak / a coat
  button made of brass
blacksmith / she / her / stack the firewood / my cart has lost a wheel / a
  lucky horseshoe
librarian / she / her / put {number} boxes of books away / my ladder is broken
  / a book about whales
clockmaker / he / his / wind up all the clocks / tomorrow must not be late / a
  tiny bell
shepherd / he / his / bring in the sheep / my dog has gone to sleep / a ball
  of wool
carpenter / she / her / paint the long fence / the mayor is coming to tea / a
  wooden whale
beekeeper / he / his / move the hives / a bear has been seen in the valley / a
  pot of honey
ferryman / he / his / bail out the boat / there is more water in it than under
  it / a free ride

animal: name / said / food / did
kitten / mewed / a saucer of milk / chased its own tail
puppy / whined / the end of a sausage / chewed the rug
duckling / peeped / some crumbs / paddled in the sink
lamb / bleated / fresh clover / hopped on the sofa
piglet / squeaked / a cold potato / dug for socks
parrot / squawked / sunflower seeds / repeated every word
goat / coughed politely / an old newspaper / ate the curtains
owl / hooted / a bit of cheese / stared at the clock
rabbit / sneezed / three carrots / drummed on the floor
hedgehog / snuffled / a slice of apple / rolled under the bed
donkey / brayed / a handful of hay / leaned on the piano
goose / honked / a heel of bread / marched up and down
raccoon / chattered / a corn cob / washed all the spoons
frog / croaked / a spoon of porridge / jumped on the plates
otter / chirped / a small fish / splashed in the tub

fairy: name
talking frog
tiny wizard
very old fish
polite dragon
moth with a crown
fallen star
invisible elf
stork on stilts

whim: name / trouble
I were as tall as a tree / {he} could not get through the door, and pigeons
  sat down on {his} ears.
for a mountain of candy / the candy rolled down the street and blocked every
  house, and {his} teeth hurt.
I could fly like a bird / {he} floated up to the ceiling and could not come
  down for dinner.
it were summer forever / the river dried up, and even the lemonade ran out.
to be invisible / nobody passed {him} the potatoes, and a cat sat down on
  {him}.
I could talk to animals / the hens complained all night long about their food.
that everything I touch would turn to jam / {his} bed was jam, and so was the
  door.
for a hundred brothers / there was a line for the bathroom that reached the
  next town.
never to go to bed again / {he} was talking to the lamps at midnight and
  weeping into {his} soup.
"""


def rules(plots):
    """The plots and LISTS as name -> [(weight, template)]."""
    found = {}
    for block in plots.strip().split("\n\n"):
        name, *lines = block.split("\n")
        options = re.findall(r"^(\d*)- (.*(?:\n  .*)*)", "\n".join(lines),
                             re.MULTILINE)
        found[name] = [(int(weight or 1), _joined(text).replace(" // ", "\n"))
                       for weight, text in options]
    for line in _joined(LISTS).strip().split("\n"):
        name, _, words = line.partition(": ")
        found[name] = [(1, word) for word in words.split(" | ")]
    return found


def tables():
    """TABLES and the names as pool -> [{field: template}]."""
    she = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
    he = {"he": "he", "him": "him", "his": "his", "himself": "himself"}
    found = {"child": [{"name": name, **pronouns}
                       for names, pronouns in ((GIRLS, she), (BOYS, he))
                       for name in names.split()]}
    for block in _joined(TABLES).strip().split("\n\n"):
        header, *lines = block.split("\n")
        pool, _, fields = header.partition(": ")
        found[pool] = []
        for line in lines:
            record = dict(zip(fields.split(" / "), line.split(" / "),
                              strict=True))
            noun = record["name"]
            article = "an " if noun[0] in "aeiouAEIOU" else "a "
            found[pool].append(record | {"a": article + noun})
    return found


def _joined(text):
    """The text with each continued line as one."""
    return re.sub(r"\n  +", " ", text)
