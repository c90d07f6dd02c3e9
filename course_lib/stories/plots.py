"""The plots of the stories; see `grammar.py` for the notation.

A block is a name, then its options: `- text`, or `3- text` for weight 3.
Indented lines continue an option and ` // ` starts a new paragraph.

What keeps the grammar unambiguous: the options of a choice must come to
differ, whatever is chosen after them. The tests say where they do not.
"""

RULES = """
story
- {intro} {plot}

plot
3- {broken}
3- {skill}
2- {race}
2- {birthday}
2- {night}
5- {He} had {color.a} {thing}, [3:{lost}|2:{trade}]
17- {when} {he}
  [3:{share}|3:{helping}|3:{stray}|2:{storm}|2:{seed}|2:{wish}|2:{map}]

intro
4- {hero} was {trait.a} little [child|soul|person] who lived {home}. {taste}
2- Once there was {trait.a} child named {hero}, who lived {home}. {taste}
2- In a small house {home} lived {trait.a} child named {hero}. {taste}
1- Not so long ago, {trait.a} child called {hero} lived {home}. {taste}
1- Everyone {home} knew {hero}, who was {trait.a} child. {taste}

taste
3- {He} liked {like} [but not|more than] {like2}.
2- {He} was very fond of {like} and a little afraid of {like2}.
1- {His} pockets were full of {tidbit}.
1- {He} could talk about {like} for hours.

when
4- One {sky} [3:morning|3:afternoon|day]
2- On a {sky} [morning|evening] in {month}
1- [Yesterday|Last week|One Sunday], when it was {sky},

lost
- and [nothing was better than to|{he} liked to|every day {he} would]
  {thing.use}. {when} {he} [took|carried] the {thing} {place.to}. {mishap}
  [{hero} looked and looked, but it was nowhere.|Oh, how {he} cried!|{He} sat
  down and did not know what to do.|"Come back!" shouted {hero}, but only the
  echo came.] // Then {friend} came by, {busy}. "[Why are you so sad|What is
  the matter|What happened]?" {friend.he} asked. "I have lost my {color}
  {thing}," said {hero}. "[We will find it|Let us look together|Four eyes are
  better than two]," said {friend}. They looked {hideout}, and they looked
  {hideout2}. [At last|After an hour|Just before dark] {friend} saw something
  {color} {place.spot}. It was the {thing}! {mishap.clue} {hero}
  [hugged|thanked] {friend} [twice|again and again|and laughed]. {end@lost}

lesson@lost
- having friends who help you look
- looking twice before you cry
- the people who search with you
- taking care of what you love
- finding things again

share
- [went|walked|wandered] {place.to} with {size.a} {food}. It smelled {smell}.
  {He} sat down {place.spot} and was about to eat. Just then {friend} [came
  along|walked past|stopped], {busy}. "[I forgot my lunch|I have not eaten
  since {dawn}|A goat ate my lunch|What a fine smell]," said {friend}, looking
  at the {food.short}. {hero} [held it tighter|pretended not to hear|looked at
  the clouds|turned away]. "It is [mine|a very small one|only enough for
  me|not ripe]," {he} said. // {friend} [nodded|sighed] and went away. {hero}
  took one bite, but somehow it tasted of {bland}. {He} [looked at|thought of]
  {friend} and felt {regret}. So {he} ran after {friend}, broke the
  {food.short} in two, and [gave away the bigger half.|said, "This half is
  yours."|held out one half.] [They ate every crumb|Together
  they ate it all|They ate until they were full] and {pastime.past} until
  dark. {end@share}

lesson@share
- sharing what you have
- giving the bigger half away
- eating together
- making room for one more
- noticing who is hungry

broken
- In the house there was {color.a} {fragile}, which stood {shelf} and belonged
  to {elder}. "[Please be careful with it|Look, but do not touch|It is older
  than all of us]," {elder.he} always said. {when} {hero} was {mischief} [in
  the house|indoors]. Crash! The {fragile} was in {number} pieces. {hero}
  [swept|pushed|hid] them {rug} and [told nobody|kept very quiet|said nothing
  at all]. // "Where is my {fragile}?" asked {elder}. "[Did you ask the
  cat|Was it a thief|What {fragile}]?" said {hero} and turned as red as a
  {red}. But {he} felt {regret}. In the morning {he} [went to|woke] {elder}.
  "I broke your {fragile}, and then I lied," said {hero}. {Elder} was quiet
  for a while. "[A thing is only a thing|I once broke a bigger one|The cat
  told me]," {elder.he} said at last. They [glued the pieces together|made a
  picture from the pieces], and it looked [almost new|better than before|funny
  but fine]. {end@broken}

lesson@broken
- telling the truth even when it is hard
- mending what you break
- being brave enough to say sorry
- forgiving one another
- people and not about things

storm
- was playing {place.at} with {friend}. {place.scene}. {weather} "[We should
  go home|I do not like this|Look at the sky]," said {friend}. They
  [crept|crawled] into {shelter} and held hands. Outside, {weather.noise}. //
  "[Are you afraid|Is it over yet]?" whispered {friend}. "[A little|Only when
  I think about it|Yes, but less with you]," said {hero}. So they [sang every
  song they knew|told each other jokes about {like3}|counted slowly to
  {number} hundred], and soon they forgot to be afraid. When it was over,
  {weather.after}. {coat.A} {animal} had been hiding {place.spot}, and it
  [looked at them|shook itself|blinked] as if nothing had happened. {hero} and
  {friend} [laughed|ran home], and {elder} gave them {size.a} {food}.
  {end@storm}

lesson@storm
- holding hands until the rain stops
- singing when it thunders
- waiting for the sky to clear
- being afraid together
- weathering every storm with a friend

skill
- More than anything, {he} wanted to {talent}. {when} {he} [tried|had a go]
  {place.at}, but {he} {talent.fail}. {friend}, {busy}, saw it and [laughed so
  hard that {friend.he} got the hiccups|said, "Do that again!"|tried not to
  smile]. "I will never learn it," said {hero}, and went home {sadly}. // But
  {elder} [only smiled|shook a wise head|poured two cups of tea]. "[When I was
  your age, I failed {number} times|Nobody is born knowing how|Even the birds
  fall first]," {elder.he} said. "Try again tomorrow." So {hero} tried on
  {weekday}, and on {weekday2}, and on every day of {month2}. {He}
  [fell|failed] and started again. And then, [with a deep breath|one day|when
  nobody was looking], {he} {talent.win}! [Even|This time] {friend}
  [clapped|cheered|threw a hat in the air]. "Can you teach me to {talent}?"
  asked {friend}. {end@skill}

lesson@skill
- trying once more
- getting up again
- small steps every day
- learning and not about being perfect
- falling down with a smile

helping
- was on the way {place.to} to {pastime}. By the road stood the old {worker},
  who {weary}. "[I still have to|All by myself I must] {worker.task} before
  {dusk}," said the {worker}, "and {worker.why}." {hero} [thought of the fun
  waiting {place.at}|looked at the low sun|wanted to walk on], but {his} feet
  [stopped|would not move]. "I will help you," {he} said. // {friend} came by,
  {busy}, and [helped too|only watched|brought them some water]. It took
  {hours} hours, and {hero} got {blisters}. In the end the {worker} [shook
  {his} hand|bowed low|did a little dance] and gave {him} {worker.gift}.
  {hero} never got to {pastime} that day, but {he} [walked|skipped] home
  [whistling|with a light heart|feeling ten feet tall]. {end@helping}

lesson@helping
- stopping when somebody needs you
- carrying a little for each other
- doing the work that is in front of you
- helping before you are asked
- kindness

stray
- was {place.at} and heard a small sound {place.spot}. It was {coat.a}
  {animal}! It {animal.said} and looked [hungry|cold and lost|up at {him}].
  "Where do you belong?" asked {hero}. The {animal} only {animal.said} again.
  {hero} gave it {animal.food} and carried it home. There it [slept in a
  slipper|{animal.did} all evening]. "May I keep it?" asked {hero}. "[Only if
  nobody is missing it|Yes, unless somebody is crying for it]," said {elder}.
  // So they put up a note {place.at}: "Found: one {coat} {animal}."
  [Soon|Before noon|On {weekday}] there was a knock at the door. It was
  {friend}, {busy}. "That is my {animal}!" cried {friend}. The {animal} ran to
  {friend.him} [at once|and {animal.said} with joy]. {hero} [swallowed
  hard|looked at the floor]. "[Come and visit us every day|You can walk it on
  Sundays|It likes you, so it has two homes now]," said {friend}. {end@stray}

lesson@stray
- letting go of what is not yours
- caring for small creatures
- opening the door
- loving without owning
- bringing the lost ones home

trade
- but it [bored {him}|was old]. {when} {he} met {friend} {place.at}, {busy}.
  {friend} had {thing2.a}. "[Let us trade|Mine for yours]," said {hero}, and
  they did. For [an hour|a whole day|{hours} days] it was fun to {thing2.use}.
  Then {he} saw {elder}, who had {thing3.a}. {hero} traded again. But {he} did
  not want to {thing3.use}. // That night {he} [missed|thought about] {his}
  {color} {thing}. In the morning {he} gave {elder} the {thing3}, took the
  {thing2}, and asked {friend}, "May I have my {thing} back?" "[Of course|I
  was just going to ask you]," said {friend}. "I tried to {thing.use}, and
  [the neighbors complained|everybody laughed|I fell into the pond]." {hero}
  held the {thing} tight, and it had never looked so {color}. {end@trade}

lesson@trade
- wanting what you already have
- knowing what is enough
- keeping what makes you laugh
- more than new things
- old friends and old treasures

race
- {He} could run faster than {fast}, and {he} said so [every day|at breakfast,
  at lunch, and at supper]. {when} there was a race {place.to}, and the prize
  was {size.a} {food}. "I will win before you have tied your shoes," {hero}
  told {friend}, who came {busy}. {friend} [only smiled|said nothing]. Three,
  two, one, go! {hero} shot away and was soon far ahead. // Then {he} heard a
  cry. {friend} had [tripped over {coat.a} {animal}|hurt one foot|fallen into
  a ditch]. The finish was so close! But {he} [turned around|stopped], ran
  back, and [pulled {friend} up|lent {friend} an arm]. They came in last,
  [side by side|on three good legs|singing about {like3}]. [Everybody cheered
  louder than for the winner|The winner shared the {food.short} with both of
  them|{Elder} cried a little and blamed the dust]. {end@race}

lesson@race
- who you run beside
- stopping for the one who falls
- friends and not about prizes
- finishing together
- losing well now and then

birthday
- The next day was the birthday of {elder}, and {hero} had no money for a
  present. "I will make {food.a} all by myself," {he} said. {friend}
  came to help, {busy}. {hero} [stirred|measured] and {friend} [sang about
  {like3}|licked the spoon|read the recipe upside down]. In the end the
  kitchen was [white with flour|one big mess|full of smoke], and nobody
  noticed that they had put in {oops} instead of {proper}. // "Happy
  birthday!" they called. {Elder} took one big bite, and {elder.his} eyes
  [watered|grew round]. Then {elder.he} drank {number} glasses of water. "[Is
  it very bad|Do you like it|What is wrong]?" asked {hero} in a small voice.
  "It tastes of {bland}," said {elder}, "and [it is the best present of all|I
  would not trade it for a palace|nobody ever made me one before]." They all
  laughed until {laughed}. Then {friend} [fetched some bread and cheese|fed
  the rest to {coat.a} {animal}|started to sing again]. {end@birthday}

lesson@birthday
- the love you stir in
- laughing when the cake goes wrong
- giving what you can make
- remembering each other
- cake and the people you eat it with

night
- One {sky} night {he} [woke up|could not sleep], because there was a strange
  noise {dark}. {noise}! "It is {monster}," thought {hero}, and {he} pulled
  the blanket over {his} head. Then {he} [took|picked up] {weapon},
  [tiptoed|crept] down the stairs, and woke {friend}, who was staying for the
  night. "You go first," whispered {friend}. "No, you," whispered {hero}. In
  the end they went together. // {hero} counted to {number} and lit {lamp}.
  There sat {coat.a} {animal}! It was [eating|standing in] {size.a} {food},
  and it {animal.said} as if they had disturbed it. {hero} and {friend}
  [laughed so loudly that {elder} woke up|sat down on the floor and giggled].
  They gave it {animal.food}, and after that it [came back every
  {weekday}|slept in {his} slipper|{animal.did} until morning]. [{hero} was
  never again afraid of the dark|They gave it a name, which was {petname}].
  {end@night}

lesson@night
- lighting a lamp and looking
- going together when it is dark
- being afraid and going anyway
- finding out what makes the noise
- small surprises

seed
- found a [tiny|black|wrinkled] seed {place.at}. {place.scene}. {He} planted
  it {garden} and {watered} every day. {hours.Name} weeks passed, and nothing
  happened. "[It is only a pebble|You are watering mud|Seeds like that never
  grow]," said {friend}, {busy}. {hero} [said nothing|only smiled] and went
  on. {month2} came, and still there was nothing. // "[How long does it
  take|Did I do it wrong]?" {he} asked {elder}. "Longer than you like and
  shorter than you fear," said {elder}. Then, on a {weekday} morning, there
  was a green tip! It grew past {his} knees, past the window, and past the
  roof, and in the end it was {plant}. {friend} came to look and [could not
  say a word|turned pink]. "I was wrong," {friend.he} said. {hero} [gave
  {friend} some seeds|let {friend} sit in the shade|asked {friend} to help
  with the watering]. {end@seed}

lesson@seed
- waiting for green things
- watering what you cannot see yet
- planting seeds for others
- patience
- believing in small beginnings

wish
- met {fairy.a} {place.at}, stuck {place.spot}. {hero} [pulled it out|set it
  free]. "Thank you," said the {fairy}. "You may have one wish." {hero}
  [thought of {like3}, but not for long|did not think for long]. "I wish
  {whim}!" {he} said. There was {magic}, and it came true. [It was wonderful
  for an hour.|It was great fun until {weekday}.] But then {whim.trouble} //
  {hero} ran back to the {fairy}. "[No more|Help]!" {he} begged. It
  [yawned|smiled|coughed]. "What do you really want?" it asked. {hero} thought
  for {hours} hours. "[To go home|An ordinary day|Supper with {elder}]," {he}
  said. And so it was. {Elder} had made {size.a} {food}, and {friend} was
  there, {busy}. {end@wish}

lesson@wish
- ordinary days
- choosing your wishes well
- being happy as you are
- supper at home
- thinking before you wish

map
- and {friend} found an old map in {oldbox}. A red cross on it showed a place
  {place.at}. "Treasure!" cried {friend}. They packed {size.a} {food} and
  {color.a} {thing} and set off. On the way they had to [cross a river|climb
  over {number} fences|run from {coat.a} {animal}], and {hero} [lost a
  shoe|tore a sleeve|got a nettle sting]. "[Shall we turn back|How much
  farther]?" asked {friend}. "[Just one more hill|We are nearly there]," said
  {hero}. // At last they stood {place.at}. {place.scene}. They searched
  {place.spot} and found an iron box. In it were {junk} and a letter: "Well
  done! I [hid|buried] this when I was {number2} years old." It was signed by
  {elder}! {Elder} [laughed|was so pleased that {elder.he} blushed] and told
  them {story_of}. {end@map}

lesson@map
- the road and not about the gold
- looking for treasure with a friend
- the stories you dig up
- going to see what is there
- one more hill

end@
- {moral@}
- {last}

moral@
6- {hero} learned that life is about {lesson@}.
3- That evening {hero} wrote in {his} diary: life is about {lesson@}.
3- "You see," said {elder}, "life is about {lesson@}."
2- "Life is about {lesson@}," said {friend}, and {hero} had to agree.
3- {He} thought that life is about {lesson@}, and perhaps {he} was right.
2- Since then {he} has told everyone that life is about {lesson@}.

last
2- From that day on, {hero} and {friend} {together}.
2- {hero} is still {trait.a} child, but {trait.now}.
1- If you ever meet {hero} {home}, ask about it.
1- Then they were all hungry, and {elder} made {treat}.
2- Later {he} slept {sleep} and dreamed of {like}.
1- Outside it was {sky}, and {moon}.
"""
