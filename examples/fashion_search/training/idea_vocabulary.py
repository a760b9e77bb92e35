"""The words of the embedded idea model's world: occasions, what suits them, styles, products, and how people ask.

Plain data, made for editing; `idea_grammar` puts queries and ideas together from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gender = Literal["women", "men"]
Weather = Literal["hot", "cold", "wet", "autumn", "spring"]


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """What suits a kind of occasion, most important first. A `*` takes the next colour of the palette."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    palette: tuple[str, ...]
    weather_matters: bool = True


@dataclass(frozen=True, slots=True)
class Style:
    """A way of dressing: its words, its colours, and one item that shows it."""

    phrases: tuple[str, ...]
    palette: tuple[str, ...] | None
    women: str | None = None
    men: str | None = None


def listed(text: str) -> tuple[str, ...]:
    """Return the comma-separated parts of a text."""
    return tuple(item.strip() for item in text.split(","))


FOR_EVERYBODY = frozenset(
    listed("sunglasses, backpack, cap, gloves, scarf, beanie, socks, watch, duffel, laptop, wallet")
)

WARDROBES = {
    "beach formal": Wardrobe(
        listed(
            "* flowing maxi dress, tan flat sandals, sunglasses, gold clutch, silver earrings, * scarf"
        ),
        listed(
            "* linen shirt, beige linen trousers, tan casual shoes, sunglasses, brown leather belt, * linen blazer"
        ),
        listed("peach, white, turquoise, lavender"),
    ),
    "wedding guest": Wardrobe(
        listed("* midi dress, gold heels, * clutch, gold earrings, * stole, silver bracelet"),
        listed(
            "* suit, white formal shirt, brown formal shoes, * tie, brown leather belt, silver watch"
        ),
        listed("navy blue, pink, teal, lavender"),
    ),
    "bride and groom": Wardrobe(
        listed(
            "white lace dress, silver heels, white clutch, silver necklace, silver earrings, white stole"
        ),
        listed(
            "black suit, white formal shirt, black formal shoes, black bow tie, silver cufflinks, black formal trousers"
        ),
        listed("white, off white, silver"),
        weather_matters=False,
    ),
    "black tie": Wardrobe(
        listed(
            "* evening dress, silver heels, * clutch, silver earrings, silver necklace, black stole"
        ),
        listed(
            "black suit, white formal shirt, black formal shoes, black bow tie, silver cufflinks, black formal trousers"
        ),
        listed("black, burgundy, green, navy blue"),
    ),
    "cocktail": Wardrobe(
        listed(
            "* cocktail dress, black heels, * clutch, silver earrings, silver bracelet, black blazer"
        ),
        listed("* blazer, white shirt, black trousers, black formal shoes, * tie, silver watch"),
        listed("black, red, navy blue, burgundy"),
    ),
    "interview": Wardrobe(
        listed(
            "white formal shirt, * formal trousers, * blazer, black heels, black handbag, silver watch"
        ),
        listed(
            "white formal shirt, * formal trousers, black formal shoes, * tie, black leather belt, * blazer"
        ),
        listed("navy blue, grey, black, charcoal"),
    ),
    "office": Wardrobe(
        listed("* blouse, black formal trousers, black flats, * handbag, * blazer, silver watch"),
        listed(
            "* formal shirt, grey trousers, brown formal shoes, brown leather belt, black laptop bag, navy blue blazer"
        ),
        listed("light blue, white, navy blue, grey"),
    ),
    "smart casual": Wardrobe(
        listed("* top, blue jeans, white casual shoes, brown handbag, * blazer, silver watch"),
        listed(
            "* shirt, blue jeans, brown casual shoes, brown leather belt, grey sweater, silver watch"
        ),
        listed("white, navy blue, grey, light blue"),
    ),
    "business trip": Wardrobe(
        listed(
            "black laptop bag, * blouse, black formal trousers, black flats, * blazer, brown wallet"
        ),
        listed(
            "black laptop bag, * formal shirt, grey trousers, black formal shoes, brown wallet, navy blue blazer"
        ),
        listed("white, light blue, grey"),
    ),
    "funeral": Wardrobe(
        listed(
            "black midi dress, black flats, black handbag, black blazer, grey scarf, silver watch"
        ),
        listed(
            "black blazer, white formal shirt, black tie, black formal shoes, black formal trousers, black leather belt"
        ),
        listed("black, charcoal, grey"),
    ),
    "date": Wardrobe(
        listed(
            "* dress, black heels, * clutch, gold earrings, gold necklace, black leather jacket"
        ),
        listed(
            "* shirt, dark blue jeans, brown casual shoes, navy blue blazer, brown leather belt, silver watch"
        ),
        listed("red, burgundy, black, pink"),
    ),
    "night out": Wardrobe(
        listed(
            "* sequin top, black skirt, black heels, silver clutch, silver earrings, black leather jacket"
        ),
        listed(
            "* shirt, black jeans, black casual shoes, black leather jacket, silver watch, black leather belt"
        ),
        listed("black, gold, silver, red"),
    ),
    "birthday": Wardrobe(
        listed(
            "* party dress, gold heels, gold clutch, gold earrings, gold bracelet, black blazer"
        ),
        listed(
            "* printed shirt, blue jeans, white casual shoes, navy blue blazer, brown leather belt, silver watch"
        ),
        listed("pink, red, purple, gold"),
    ),
    "garden": Wardrobe(
        listed("* floral dress, beige flats, straw hat, * handbag, sunglasses, gold earrings"),
        listed(
            "* linen shirt, beige cotton trousers, brown casual shoes, sunglasses, brown leather belt, light grey blazer"
        ),
        listed("pink, yellow, lavender, light blue"),
    ),
    "brunch": Wardrobe(
        listed("* summer dress, white flats, sunglasses, tan handbag, * cardigan, gold earrings"),
        listed(
            "* polo t-shirt, beige cotton trousers, white casual shoes, sunglasses, brown leather belt, silver watch"
        ),
        listed("yellow, white, light blue, peach"),
    ),
    "picnic": Wardrobe(
        listed(
            "* cotton dress, white casual shoes, straw hat, sunglasses, tan handbag, blue denim jacket"
        ),
        listed(
            "* t-shirt, beige shorts, white casual shoes, sunglasses, blue cap, blue denim shirt"
        ),
        listed("yellow, green, white, red"),
    ),
    "casual day": Wardrobe(
        listed(
            "* t-shirt, blue jeans, white casual shoes, brown handbag, blue denim jacket, sunglasses"
        ),
        listed("* t-shirt, blue jeans, white casual shoes, grey hoodie, brown wallet, black cap"),
        listed("white, grey, black, navy blue"),
    ),
    "festival": Wardrobe(
        listed(
            "* printed t-shirt, blue denim shorts, sunglasses, brown ankle boots, tan backpack, silver bracelet"
        ),
        listed(
            "* printed t-shirt, khaki shorts, sunglasses, white casual shoes, black backpack, black cap"
        ),
        listed("yellow, orange, teal, purple"),
    ),
    "concert": Wardrobe(
        listed(
            "* graphic t-shirt, black jeans, black ankle boots, black leather jacket, silver earrings, black clutch"
        ),
        listed(
            "* graphic t-shirt, black jeans, black casual shoes, black leather jacket, silver bracelet, black cap"
        ),
        listed("black, white, grey, red"),
    ),
    "beach": Wardrobe(
        listed("* swimsuit, * flip flops, sunglasses, straw hat, white shorts, * handbag"),
        listed("* swim shorts, * flip flops, sunglasses, white t-shirt, blue cap, * sandals"),
        listed("turquoise, navy blue, peach, yellow"),
        weather_matters=False,
    ),
    "run": Wardrobe(
        listed(
            "* sports shoes, * sports t-shirt, black running shorts, white cap, black leggings, white sports socks"
        ),
        listed(
            "* sports shoes, * sports t-shirt, black running shorts, white cap, black track pants, white sports socks"
        ),
        listed("blue, grey, lime green, black"),
    ),
    "gym": Wardrobe(
        listed(
            "* sports t-shirt, black leggings, * sports shoes, black duffel bag, grey sweatshirt, white sports socks"
        ),
        listed(
            "* sports t-shirt, black track pants, * sports shoes, black duffel bag, grey sweatshirt, white sports socks"
        ),
        listed("grey, black, blue, red"),
    ),
    "yoga": Wardrobe(
        listed(
            "* leggings, * tank top, grey sweatshirt, black flip flops, black duffel bag, white socks"
        ),
        listed(
            "grey track pants, * t-shirt, grey sweatshirt, black flip flops, black duffel bag, white socks"
        ),
        listed("purple, teal, black, grey"),
    ),
    "racket": Wardrobe(
        listed(
            "white sports skirt, * polo t-shirt, white sports shoes, white cap, white sports socks, black duffel bag"
        ),
        listed(
            "white sports shorts, * polo t-shirt, white sports shoes, white cap, white sports socks, black duffel bag"
        ),
        listed("white, navy blue, light blue, green"),
    ),
    "team game": Wardrobe(
        listed(
            "* sports jersey t-shirt, black shorts, * sports shoes, white sports socks, blue cap, black duffel bag"
        ),
        listed(
            "* sports jersey t-shirt, black shorts, * sports shoes, white sports socks, blue cap, black duffel bag"
        ),
        listed("blue, red, white, green"),
    ),
    "spectator": Wardrobe(
        listed(
            "* jersey t-shirt, blue jeans, white casual shoes, * cap, sunglasses, black backpack"
        ),
        listed(
            "* jersey t-shirt, blue jeans, white casual shoes, * cap, sunglasses, black backpack"
        ),
        listed("blue, red, green, yellow"),
    ),
    "hike": Wardrobe(
        listed(
            "* sports t-shirt, brown sports shoes, green backpack, khaki capris trousers, beige cap, navy blue jacket"
        ),
        listed(
            "* sports t-shirt, brown sports shoes, green backpack, khaki trousers, beige cap, navy blue jacket"
        ),
        listed("olive, grey, blue, orange"),
    ),
    "safari": Wardrobe(
        listed(
            "khaki shirt, beige trousers, brown casual shoes, beige hat, sunglasses, green backpack"
        ),
        listed(
            "khaki shirt, beige shorts, brown casual shoes, beige hat, sunglasses, green backpack"
        ),
        listed("khaki, beige, olive"),
    ),
    "snow": Wardrobe(
        listed(
            "* padded jacket, * wool sweater, * wool scarf, black gloves, grey beanie, brown boots"
        ),
        listed(
            "* padded jacket, * wool sweater, * wool scarf, black gloves, grey beanie, brown boots"
        ),
        listed("red, navy blue, white, grey"),
        weather_matters=False,
    ),
    "cold walk": Wardrobe(
        listed("* wool coat, * sweater, * scarf, blue jeans, brown ankle boots, black gloves"),
        listed("* wool coat, * sweater, * scarf, blue jeans, brown boots, black gloves"),
        listed("tan, burgundy, grey, navy blue"),
        weather_matters=False,
    ),
    "rain": Wardrobe(
        listed(
            "* waterproof jacket, blue jeans, black ankle boots, grey sweater, * scarf, black handbag"
        ),
        listed(
            "* waterproof jacket, blue jeans, brown casual shoes, grey sweater, * scarf, black backpack"
        ),
        listed("yellow, navy blue, olive, black"),
        weather_matters=False,
    ),
    "autumn walk": Wardrobe(
        listed("* jacket, * sweater, blue jeans, brown ankle boots, * scarf, tan handbag"),
        listed("* jacket, * sweater, blue jeans, brown casual shoes, * scarf, brown backpack"),
        listed("rust, mustard, olive, brown"),
        weather_matters=False,
    ),
    "heat": Wardrobe(
        listed("* cotton dress, tan sandals, sunglasses, straw hat, white shorts, white handbag"),
        listed("* linen shirt, beige shorts, tan sandals, sunglasses, white t-shirt, blue cap"),
        listed("white, light blue, yellow, peach"),
        weather_matters=False,
    ),
    "spring day": Wardrobe(
        listed(
            "* floral dress, white casual shoes, blue denim jacket, * cardigan, tan handbag, sunglasses"
        ),
        listed(
            "* shirt, beige cotton trousers, white casual shoes, blue denim jacket, sunglasses, brown leather belt"
        ),
        listed("sea green, pink, light blue, white"),
        weather_matters=False,
    ),
    "indian festival": Wardrobe(
        listed("* silk saree, * kurta, gold earrings, gold bangle, * dupatta, gold sandals"),
        listed(
            "* silk kurta, white cotton trousers, brown sandals, * waistcoat, gold watch, * stole"
        ),
        listed("red, orange, magenta, green"),
        weather_matters=False,
    ),
    "indian wedding": Wardrobe(
        listed(
            "* embroidered saree, gold necklace, gold bangle, gold earrings, * dupatta, gold heels"
        ),
        listed(
            "* embroidered kurta, gold stole, brown sandals, * waistcoat, cream cotton trousers, gold watch"
        ),
        listed("maroon, blue, gold, pink"),
        weather_matters=False,
    ),
    "eid": Wardrobe(
        listed(
            "* embroidered kurta, * dupatta, gold earrings, gold sandals, silver bangle, * clutch"
        ),
        listed("* cotton kurta, white trousers, brown sandals, * waistcoat, silver watch, * stole"),
        listed("green, white, teal, cream"),
        weather_matters=False,
    ),
    "worship": Wardrobe(
        listed(
            "* midi dress, beige flats, * scarf, brown handbag, beige cardigan, silver earrings"
        ),
        listed(
            "* shirt, navy blue trousers, brown casual shoes, brown leather belt, grey blazer, silver watch"
        ),
        listed("light blue, cream, lavender, white"),
    ),
    "home": Wardrobe(
        listed(
            "* sweatshirt, grey track pants, * socks, * sweater, grey flip flops, black leggings"
        ),
        listed("* sweatshirt, grey track pants, * socks, * sweater, grey flip flops, grey t-shirt"),
        listed("grey, cream, navy blue, pink"),
        weather_matters=False,
    ),
    "sleep": Wardrobe(
        listed("* pyjamas, * t-shirt, grey shorts, * socks, grey flip flops, cream sweatshirt"),
        listed("* pyjamas, * t-shirt, grey shorts, * socks, grey flip flops, grey sweatshirt"),
        listed("pink, white, navy blue, grey"),
        weather_matters=False,
    ),
    "travel": Wardrobe(
        listed(
            "* t-shirt, black leggings, white casual shoes, black backpack, grey hoodie, grey scarf"
        ),
        listed(
            "* t-shirt, grey track pants, white casual shoes, black backpack, grey hoodie, brown wallet"
        ),
        listed("grey, white, navy blue, black"),
    ),
    "city trip": Wardrobe(
        listed(
            "* top, blue jeans, white casual shoes, sunglasses, brown backpack, beige trench coat"
        ),
        listed(
            "* shirt, beige cotton trousers, white casual shoes, sunglasses, brown backpack, navy blue jacket"
        ),
        listed("white, navy blue, red, beige"),
    ),
    "campus": Wardrobe(
        listed(
            "* t-shirt, blue jeans, white casual shoes, black backpack, grey hoodie, silver watch"
        ),
        listed(
            "* t-shirt, blue jeans, white casual shoes, black backpack, grey hoodie, black watch"
        ),
        listed("white, navy blue, grey, red"),
    ),
    "graduation": Wardrobe(
        listed("* dress, black heels, silver watch, black clutch, silver earrings, white blazer"),
        listed(
            "white formal shirt, * formal trousers, black formal shoes, * tie, silver watch, * blazer"
        ),
        listed("navy blue, white, black, burgundy"),
    ),
    "baby": Wardrobe(
        listed(
            "* floral dress, beige flats, tan handbag, gold earrings, * cardigan, gold bracelet"
        ),
        listed(
            "* shirt, beige cotton trousers, brown casual shoes, brown leather belt, light blue sweater, silver watch"
        ),
        listed("light blue, pink, sea green, yellow"),
    ),
    "maternity": Wardrobe(
        listed(
            "* maternity dress, black leggings, white flats, * tunic, grey cardigan, tan handbag"
        ),
        listed("* t-shirt, blue jeans, white casual shoes, grey hoodie, black cap, silver watch"),
        listed("navy blue, grey, pink, green"),
    ),
    "work site": Wardrobe(
        listed(
            "* cotton shirt, blue denim trousers, brown work boots, grey t-shirt, black gloves, black cap"
        ),
        listed(
            "* cotton shirt, blue denim trousers, brown work boots, grey t-shirt, black gloves, black cap"
        ),
        listed("khaki, blue, grey"),
    ),
    "bike": Wardrobe(
        listed(
            "* sports jersey t-shirt, black shorts, sunglasses, black gloves, * sports shoes, yellow nylon jacket"
        ),
        listed(
            "* sports jersey t-shirt, black shorts, sunglasses, black gloves, * sports shoes, yellow nylon jacket"
        ),
        listed("red, blue, white, green"),
    ),
    "motorbike": Wardrobe(
        listed(
            "black leather jacket, black jeans, black boots, black gloves, * t-shirt, sunglasses"
        ),
        listed(
            "black leather jacket, black jeans, black boots, black gloves, * t-shirt, sunglasses"
        ),
        listed("white, grey, red"),
    ),
    "dance": Wardrobe(
        listed("* flared dress, black flats, * skirt, black leggings, * top, silver earrings"),
        listed(
            "* shirt, black trousers, black formal shoes, black t-shirt, black leather belt, silver watch"
        ),
        listed("red, black, purple, blue"),
    ),
    "sailing": Wardrobe(
        listed(
            "navy blue striped top, white shorts, white flats, sunglasses, * nylon jacket, white cap"
        ),
        listed(
            "navy blue striped t-shirt, white shorts, brown casual shoes, sunglasses, * nylon jacket, white cap"
        ),
        listed("navy blue, red, white"),
    ),
    "horse": Wardrobe(
        listed("* hat, * midi dress, beige heels, * clutch, silver earrings, * stole"),
        listed("* blazer, white shirt, beige trousers, brown formal shoes, * tie, beige hat"),
        listed("pink, light blue, cream, yellow"),
    ),
    "costume": Wardrobe(
        listed("black dress, * cape coat, black boots, black hat, silver earrings, black leggings"),
        listed("black shirt, * cape coat, black trousers, black boots, black hat, white gloves"),
        listed("orange, purple, red"),
    ),
    "christmas": Wardrobe(
        listed(
            "* knitted sweater, black skirt, gold earrings, black ankle boots, * scarf, gold clutch"
        ),
        listed(
            "* knitted sweater, blue jeans, brown casual shoes, * scarf, white shirt, silver watch"
        ),
        listed("red, green, cream, burgundy"),
        weather_matters=False,
    ),
    "gift": Wardrobe(
        listed("* handbag, silver necklace, * scarf, gold watch, silver earrings, * clutch"),
        listed("silver watch, brown wallet, * tie, brown leather belt, silver cufflinks, * scarf"),
        listed("red, brown, navy blue, pink"),
        weather_matters=False,
    ),
}

# Each line: wardrobe | what people call such an occasion, comma-separated.
_OCCASIONS = """
beach formal | beach wedding, wedding on the beach, seaside wedding, wedding by the sea, destination wedding, tropical wedding, wedding in goa, wedding in hawaii, beach ceremony, barefoot wedding, island wedding, wedding on the sand
beach formal | luau, beach dinner, sunset dinner by the sea, yacht wedding, rooftop summer party, resort dinner, honeymoon dinner, cruise dinner
wedding guest | wedding, wedding guest, wedding reception, friend's wedding, cousin's wedding, church wedding, summer wedding, winter wedding, country wedding, barn wedding, vow renewal, rehearsal dinner, registry office wedding, formal wedding, wedding party
wedding guest | christening, baptism, first communion, confirmation, bar mitzvah, quinceanera, golden wedding, 25th anniversary, engagement party, mother of the bride, father of the groom, bridesmaid, groomsman, best man
bride and groom | my own wedding, getting married, bride, groom, bridal outfit, wedding dress shopping, civil ceremony as the bride, elopement
black tie | black tie gala, gala, charity ball, black tie event, black tie dinner, formal gala dinner, award ceremony, opera, opera night, red carpet, ball, state dinner, white tie event, film premiere, masquerade ball, prom, prom night, formal dance, military ball, casino night
cocktail | cocktail party, cocktails, cocktail hour, evening reception, semi formal event, gallery opening, art exhibition opening, wine tasting, office party, company christmas party, work holiday party, new year's eve, new years party, champagne reception, networking event, launch party, theatre, theater, ballet, evening at the theatre, fine dining, michelin star dinner
interview | job interview, interview, first job interview, interview at a bank, university interview, law firm interview, internship interview, meeting the recruiter, assessment centre, career fair, job fair, hiring day, panel interview, visa interview, court, court hearing, day in court, tribunal
office | office, work, working day, office wear, day at the office, business meeting, client meeting, board meeting, presentation at work, first day at work, new job, business casual, business formal, conference, corporate event, business lunch, desk job, formal wear, formal clothes, formal event at work, professional outfit, teacher outfit, teaching, parents evening, bank job, lawyer, accountant
smart casual | smart casual, dress down friday, casual day at work, casual office, startup office, relaxed workplace, tech company, coworking, work from the office on friday, casual meeting, after work drinks, meeting the parents, meeting my in-laws, family dinner, dinner with the family, family reunion, parent teacher meeting, house viewing, museum, museum visit, art gallery, library, book club, dinner party, friday casual look, thanksgiving dinner
business trip | business trip, work trip, business travel, travelling for work, conference trip, trip to a client, overnight work trip, trade fair, business flight, work travel
funeral | funeral, memorial service, wake, burial, cremation, mourning, condolence visit, remembrance day, funeral service, visitation
date | date night, date, first date, dinner date, romantic dinner, dinner for two, second date, blind date, anniversary dinner, valentine's day, valentines dinner, dinner at a nice restaurant, dinner at a fancy restaurant, candlelight dinner, proposal, evening with my boyfriend, evening with my girlfriend, dinner at a steakhouse, dinner with my husband, dinner with my wife, going out to dinner, italian restaurant, french restaurant, sushi restaurant
night out | clubbing, night club, nightclub, night out, going out, girls night, ladies night, bar, pub, pub crawl, disco, hen party, hen do, bachelorette party, bachelor party, stag do, dancing all night, house party, dance club, party night, saturday night, karaoke, vegas, cocktail bar, drinks with friends, going out with the girls, going out with the boys, dj night, rave, after party, party wear
birthday | birthday party, birthday, my birthday, 21st birthday, 30th birthday, 50th birthday, birthday dinner, sweet sixteen, friend's birthday, surprise party, party, anniversary party, celebration, housewarming, house warming party, farewell party, retirement party, reunion, class reunion, school reunion
garden | garden party, tea party, afternoon tea, high tea, bridal shower, outdoor wedding, vineyard visit, wine country, mother's day lunch, easter, easter lunch, summer party, lawn party, summer lunch, engagement photos, family photos, photo shoot outdoors, royal garden party, botanical garden
brunch | brunch, sunday brunch, lunch, lunch with friends, coffee date, coffee with a friend, cafe, breakfast out, bottomless brunch, terrace lunch, sunny lunch, lunch with my mother, ladies lunch, late breakfast
picnic | picnic, picnic in the park, barbecue, bbq, backyard barbecue, cookout, park, day in the park, strawberry picking, farmers market, apple picking, flea market, street fair, county fair, fourth of july, zoo, day at the zoo, theme park, amusement park, disneyland, playground
casual day | shopping, mall, day of shopping, running errands, groceries, supermarket, movie, cinema, movie night, movie theater, everyday, everyday wear, casual day, weekend, sunday, lazy weekend, dog walk, walking the dog, day off, casual outfit, hanging out, bowling, arcade, mini golf, escape room, dentist, doctor's appointment, volunteering, coffee shop, moving house, casual wear
festival | music festival, festival, open air festival, coachella, glastonbury, camping festival, food festival, street festival, carnival, pride, pride parade, holi, holi party, burning man, mardi gras, open air concert, jazz festival, reggae festival
concert | concert, rock concert, gig, live music, metal concert, stadium concert, punk show, indie gig, hip hop show, band night, comedy show, stand up night
beach | beach, beach day, day at the beach, swimming, pool, pool party, swimming pool, by the pool, lake, day at the lake, water park, seaside, sunbathing, snorkelling, surfing, beach holiday, beach vacation, tropical vacation, spa, spa day, sauna, hot tub party, paddle boarding, aqua aerobics, beach volleyball, lido
run | run, running, jogging, jog, morning run, summer run, 5k, 10k, marathon, half marathon, park run, trail run, running in the park, evening jog, treadmill, couch to 5k, sprint training, athletics, track and field, obstacle race, charity run, triathlon
gym | gym, going to the gym, workout, working out, weight lifting, weightlifting, crossfit, fitness class, boxing, kickboxing, strength training, personal trainer, home workout, hiit class, spinning class, cardio, exercise, training, martial arts, aerobics, powerlifting, leg day, sports wear, gym wear
yoga | yoga, yoga class, pilates, hot yoga, stretching, meditation, meditation retreat, barre class, yoga retreat, morning yoga, tai chi, wellness retreat, reformer pilates
racket | tennis, tennis match, tennis lesson, badminton, squash, golf, round of golf, golf club, table tennis, padel, pickleball, playing tennis, playing golf, country club, croquet
team game | football, football practice, soccer, playing football, playing cricket, cricket, cricket practice, rugby, basketball, playing basketball, hockey, volleyball, netball, baseball, lacrosse, handball, five a side, field day, sports day
spectator | cricket match, football match, watching football, baseball game, basketball game, stadium, watching the game, super bowl party, ipl match, world cup, sports bar, hockey game, tailgate, rugby match, formula one race, match day, watching cricket, soccer game
hike | hiking, hike, hiking trip, trekking, trek, mountain hike, nature walk, day hike, camping, camping trip, backpacking, climbing, rock climbing, bird watching, fishing, fishing trip, forest walk, hike in the hills, national park, long walk, geocaching, kayaking, canoeing, scout camp, nordic walking, bouldering
safari | safari, desert trip, safari in kenya, jungle tour, desert safari, game drive, archaeology dig, pyramids, outback, trip to africa, botanical expedition
snow | ski trip, skiing, snowboarding, ski holiday, snow, snow day, apres ski, sledging, ice skating, alps in winter, trip to the snow, ski resort, winter in canada, snowy mountains, lapland, northern lights, snowball fight, winter mountains, iceland in winter, blizzard, christmas market in the snow, winter hike, trip to the himalayas
cold walk | winter walk, cold weather, cold day, freezing weather, winter day, winter clothes, winter coat weather, winter, christmas market, new york in winter, winter commute, cold evening, bonfire night, frosty morning, winter outfit, minus degrees, below zero, january walk, warm clothes, bonfire
rain | rainy day, rain, rainy weather, monsoon, stormy weather, wet weather, drizzle, walk in the rain, rainy commute, windy day, storm, london in the rain, hurricane season, puddles, thunderstorm, downpour
autumn walk | autumn walk, autumn day, fall day, fall outfit, autumn outfit, pumpkin patch, autumn, fall, october, november walk, leaves, crisp weather, autumn stroll, fall weather, woods in autumn, harvest festival, windy autumn walk
heat | heatwave, hot day, hot weather, summer day, summer outfit, summer, very hot day, humid weather, 35 degrees, summer holiday, august, summer in the city, summer clothes, sunny day, sunny weather, hot summer, summer stroll, ice cream on a hot day, july, tropical weather
spring day | spring day, spring, spring outfit, april, cherry blossom, may, first warm day, spring walk, mild weather, spring stroll, spring break, spring clothes
indian festival | diwali, diwali party, navratri, garba night, puja, durga puja, ganesh chaturthi, raksha bandhan, indian festival, karva chauth, onam, pongal, lohri, ethnic wear, indian outfit, festive ethnic outfit, traditional indian outfit, temple visit, traditional outfit, ethnic day at college, baisakhi, traditional indian festival, kurta party, ethnic look
indian wedding | indian wedding, sangeet, mehndi, mehendi ceremony, haldi ceremony, punjabi wedding, shaadi, south indian wedding, pakistani wedding, desi wedding, hindu wedding, indian reception, sikh wedding, bengali wedding, indian engagement, baraat, indian wedding guest
eid | eid, eid al fitr, eid party, ramadan, iftar, iftar dinner, mosque, nikah, eid prayers, eid lunch, muslim wedding, bakrid, henna night
worship | church, sunday church, synagogue, church service, sunday mass, mass, passover, prayer meeting, hanukkah, temple service, communion service, meeting the priest, modest outfit, sabbath
home | cosy night in, lounging, lounge wear, relaxing at home, working from home, home office, lazy day, netflix night, staying in, movie night at home, lazy sunday, sick day, evening on the sofa, loungewear, quarantine, game night, reading by the fire, cozy day, quiet night in, comfy clothes, hygge, evening by the fireplace, snug night at home
sleep | sleeping, sleepover, bed, pyjama party, bedtime, slumber party, nightwear, pajamas, hospital stay, nap
travel | airport, flight, long flight, plane, long haul flight, train journey, road trip, travel, travel day, long drive, bus ride, travelling, overnight train, airport look, red eye flight, journey, car ride, layover
city trip | city break, sightseeing, paris trip, trip to paris, trip to rome, trip to new york, walking tour, european holiday, vacation, holiday, weekend getaway, tourist day, city tour, trip to london, trip to italy, trip to tokyo, backpacking in europe, study abroad, trip to dubai, day trip, cruise
campus | school first day, first day of school, school, back to school, college, campus, university, lecture, uni, high school, class, college student, exam, student, orientation day, freshers week, study session, school trip, dorm, seminar, first day at university, going back to college, new semester
graduation | graduation, graduation day, graduation party, commencement, convocation, degree ceremony, school leaving ceremony, under my graduation gown, graduating, thesis defence, phd defence, prize giving, swearing in ceremony, oath ceremony, citizenship ceremony, award day at school
baby | baby shower, gender reveal, naming ceremony, kids birthday party, baby's first birthday, sip and see, children's party, nursery visit, godparent
maternity | maternity, pregnant, pregnancy, nursing, maternity shoot, third trimester, bump friendly outfit, expecting mother, breastfeeding, postpartum
work site | gardening, construction site, painting the house, farm, farm work, warehouse job, yard work, workshop, ranch, allotment, factory, diy, decorating, mechanic, stable
bike | cycling, bike ride, cycling to work, mountain biking, bike tour, road cycling, bike commute, bikepacking, e-bike ride
motorbike | motorcycle ride, motorbike, biker rally, scooter ride, motorcycle trip, harley tour, riding a motorcycle
dance | salsa night, dance class, dancing, ballroom dancing, tango, zumba, swing dance, ballet class, dance recital, square dance, bollywood dance, latin dance night, milonga
sailing | sailing, boat trip, boat party, yacht party, regatta, yacht, ferry ride, harbour cruise, day on a boat, marina, captain, rowing regatta
horse | horse races, derby, kentucky derby, ascot, polo match, race day, melbourne cup, ladies day, royal ascot, day at the races
costume | halloween, halloween party, fancy dress party, costume party, cosplay, theme party, comic con, dress up party, witch costume, trick or treating
christmas | christmas, christmas party, christmas dinner, christmas day, holiday dinner, xmas, christmas eve, ugly sweater party, thanksgiving, holiday party, christmas morning, secret santa
gift | gift, birthday gift, present, christmas present, anniversary gift, gift ideas, valentine's gift, mother's day gift, father's day gift, present for my dad, present for my mom, wedding gift, graduation gift, secret santa gift
"""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One phrase that people use, and the wardrobe for it."""

    phrase: str
    wardrobe: Wardrobe


OCCASIONS = tuple(
    Occasion(phrase, WARDROBES[name.strip()])
    for line in _OCCASIONS.strip().splitlines()
    for name, phrases in [line.split("|")]
    for phrase in listed(phrases)
)

STYLES = (
    Style(
        listed(
            "all black, black only, all in black, total black, head to toe black, monochrome black"
        ),
        ("black",),
        "black top",
        "black t-shirt",
    ),
    Style(
        listed("all white, white only, all in white, head to toe white"),
        ("white",),
        "white top",
        "white shirt",
    ),
    Style(
        listed(
            "minimalist, minimal, simple, clean, understated, capsule wardrobe, scandinavian, quiet luxury"
        ),
        listed("black, white, grey, beige"),
        "white t-shirt",
        "white t-shirt",
    ),
    Style(
        listed("nautical, sailor, marine, navy and white, breton, maritime"),
        listed("navy blue, white, red"),
        "navy blue striped top",
        "navy blue striped t-shirt",
    ),
    Style(
        listed("boho, bohemian, hippie, boho chic, free spirited"),
        listed("rust, cream, mustard, teal"),
        "printed tunic",
        "printed shirt",
    ),
    Style(
        listed("vintage, retro, fifties, 70s, seventies, old fashioned, 80s, rockabilly"),
        listed("mustard, maroon, teal, brown"),
        "polka dot dress",
        "checked shirt",
    ),
    Style(
        listed("preppy, ivy league, old money, collegiate, country club style"),
        listed("navy blue, white, sea green, red"),
        "checked skirt",
        "striped polo t-shirt",
    ),
    Style(
        listed("streetwear, street style, urban, hip hop, skater, hypebeast, y2k"),
        listed("black, grey, white, orange"),
        "oversized hoodie",
        "oversized hoodie",
    ),
    Style(
        listed("sporty, athleisure, athletic, sporty chic, sportswear"),
        listed("grey, black, white, blue"),
        "track jacket",
        "track jacket",
    ),
    Style(
        listed("grunge, edgy, punk, rocker, gothic, goth, emo, rock chic, biker"),
        listed("black, charcoal, maroon, grey"),
        "black leather jacket",
        "black leather jacket",
    ),
    Style(
        listed("romantic, feminine, girly, cottagecore, dreamy, coquette, delicate"),
        listed("pink, cream, lavender, peach"),
        "lace blouse",
        "cream shirt",
    ),
    Style(
        listed(
            "elegant, classy, chic, sophisticated, glamorous, luxurious, stylish, parisian, timeless, classic"
        ),
        listed("black, navy blue, cream, burgundy"),
        "silk blouse",
        "navy blue blazer",
    ),
    Style(
        listed(
            "colourful, colorful, bright, vibrant, bold, fun colours, bright colours, maximalist, rainbow"
        ),
        listed("yellow, orange, pink, turquoise"),
        "multicoloured printed top",
        "multicoloured printed shirt",
    ),
    Style(
        listed("pastel, pastel colours, soft colours, pastels, soft pastel"),
        listed("peach, lavender, sea green, light blue"),
        "lavender top",
        "light blue shirt",
    ),
    Style(
        listed(
            "neutral, earth tones, neutral colours, beige tones, earthy, natural colours, muted"
        ),
        listed("beige, brown, cream, olive"),
        "beige sweater",
        "beige sweater",
    ),
    Style(
        listed("western, cowboy, cowgirl, country style, rodeo, nashville, rancher, texas"),
        listed("brown, tan, blue, red"),
        "denim shirt",
        "denim shirt",
    ),
    Style(
        listed("military, army, utility, cargo, camouflage, combat"),
        listed("olive, khaki, black, brown"),
        "olive jacket",
        "olive jacket",
    ),
    Style(
        listed("tropical, hawaiian, palm print, caribbean, floral"),
        listed("turquoise, peach, yellow, green"),
        "floral printed dress",
        "floral printed shirt",
    ),
    Style(
        listed("denim on denim, denim, double denim, canadian tuxedo, all denim"),
        listed("blue, light blue, white, navy blue"),
        "blue denim jacket",
        "blue denim jacket",
    ),
    Style(
        listed("sparkly, glitter, sequins, shiny, metallic, glittery, disco style"),
        listed("silver, gold, black, purple"),
        "silver sequin top",
        "silver grey shirt",
    ),
    Style(listed("comfortable, comfy, cosy, relaxed, soft, oversized, cozy, effortless"), None),
    Style(
        listed(
            "trendy, fashionable, modern, cool, nice, cute, modest, affordable, plus size, petite, tall, designer, sustainable"
        ),
        None,
    ),
)

COLOURS = {
    "black": "black, white, grey", "white": "white, beige, light blue", "blue": "blue, white, navy blue",
    "navy blue": "navy blue, white, grey", "light blue": "light blue, white, navy blue", "red": "red, black, white",
    "green": "green, beige, white", "dark green": "dark green, brown, cream", "olive": "olive, beige, black",
    "yellow": "yellow, white, blue", "mustard": "mustard, navy blue, brown", "pink": "pink, white, grey",
    "purple": "purple, black, silver", "lavender": "lavender, white, grey", "grey": "grey, black, white",
    "charcoal": "charcoal, white, grey", "beige": "beige, brown, white", "brown": "brown, beige, cream",
    "cream": "cream, brown, gold", "maroon": "maroon, beige, gold", "burgundy": "burgundy, grey, black",
    "orange": "orange, white, blue", "peach": "peach, cream, gold", "coral": "coral, white, tan",
    "teal": "teal, grey, cream", "turquoise": "turquoise, white, tan", "gold": "gold, black, cream",
    "silver": "silver, black, grey", "khaki": "khaki, white, brown", "tan": "tan, blue, white",
    "magenta": "magenta, black, gold", "rust": "rust, cream, olive", "emerald green": "emerald green, black, gold",
    "off white": "off white, beige, brown", "lime green": "lime green, white, black", "bronze": "bronze, black, cream",
    "multi": "black, white, blue", "copper": "copper, black, cream", "steel": "steel, black, grey",
}  # fmt: skip
SPELLINGS = {
    "grey": "gray",
    "navy blue": "navy",
    "multi": "multicolour",
    "burgundy": "wine",
    "off white": "ivory",
}

# Each row: a kind of product's names, whom it is sold to (None: everybody), what goes with it for women, for men.
_TOP_W = "* jeans, white casual shoes, black handbag, * jacket, silver earrings"
_TOP_M = "* jeans, white casual shoes, brown leather belt, * jacket, silver watch"
_DRESS = "* heels, * clutch, silver earrings, * cardigan, gold bracelet"
_FORMAL_W = "* formal trousers, black heels, black handbag, * blazer, silver watch"
_FORMAL_M = "* formal trousers, black formal shoes, * tie, black leather belt, silver watch"
_BOTTOM_W = "* top, white casual shoes, black handbag, * jacket, gold earrings"
_BOTTOM_M = "* shirt, brown casual shoes, brown leather belt, * jacket, silver watch"
_SPORT_W = "* sports t-shirt, black leggings, * sports shoes, white cap, black duffel bag"
_SPORT_M = "* sports t-shirt, black track pants, * sports shoes, white cap, black duffel bag"
_SUMMER_W = "* cotton dress, sunglasses, straw hat, white shorts, tan handbag"
_SUMMER_M = "* t-shirt, beige shorts, sunglasses, blue cap, * linen shirt"
_WINTER_W = "* sweater, blue jeans, brown ankle boots, * scarf, black gloves"
_WINTER_M = "* sweater, blue jeans, brown boots, * scarf, black gloves"
_ETHNIC_W = "gold earrings, gold bangle, * dupatta, gold sandals, * clutch"
_ETHNIC_M = "white cotton trousers, brown sandals, * waistcoat, * stole, gold watch"
_JEWEL_W = "* dress, * clutch, silver heels, * top, black skirt"
_ACCESSORY_W = "* dress, black heels, * top, blue jeans, sunglasses"
_ACCESSORY_M = "* shirt, blue jeans, brown casual shoes, brown leather belt, sunglasses"
_SUIT_M = "white formal shirt, * formal trousers, black formal shoes, * tie, black leather belt"

PRODUCTS: tuple[tuple[str, Gender | None, str, str], ...] = (
    ("shirt, shirts, button down shirt, casual shirt, flannel shirt, checked shirt, denim shirt, linen shirt, oxford shirt", None, _TOP_W, _TOP_M),
    ("formal shirt, dress shirt, office shirt, formal shirts", None, _FORMAL_W, _FORMAL_M),
    ("t-shirt, tshirt, t shirt, tee, t-shirts, tees, tshirts, graphic tee, v neck t-shirt, polo, polo shirt, polo t-shirt, henley, tank top, longsleeve, long sleeve top, jersey, vest", None, _TOP_W, _TOP_M),
    ("top, tops, blouse, blouses, crop top, camisole, tube top, off shoulder top, peplum top, tunic, tunics, bodysuit, halter top, wrap top", "women", _TOP_W, _TOP_M),
    ("sweatshirt, sweatshirts, hoodie, hoodies, sweater, sweaters, jumper, knitted jumper, pullover, cardigan, turtleneck", None, _WINTER_W.replace("* sweater", "* jacket"), _WINTER_M.replace("* sweater", "* jacket")),
    ("jacket, jackets, coat, coats, parka, trench coat, leather jacket, denim jacket, bomber jacket, puffer jacket, outerwear, windbreaker, raincoat, fleece, rain jacket, anorak, waistcoat", None, _WINTER_W, _WINTER_M),
    ("blazer, blazers, suit, suits, suit jacket, tuxedo, sport coat", None, _FORMAL_W.replace("* blazer", "white formal shirt"), _SUIT_M),
    ("dress, dresses, maxi dress, midi dress, mini dress, sundress, gown, evening gown, cocktail dress, bodycon dress, floral dress, wrap dress, summer dress, party dress, lace dress, shift dress, little black dress, jumpsuit, romper, prom dress", "women", _DRESS, _TOP_M),
    ("skirt, skirts, mini skirt, pencil skirt, maxi skirt, pleated skirt, denim skirt, winter skirt", "women", _BOTTOM_W, _BOTTOM_M),
    ("jeans, skinny jeans, slim fit jeans, denim, ripped jeans, mom jeans, bootcut jeans, jean, straight leg jeans, flared jeans", None, _BOTTOM_W, _BOTTOM_M),
    ("trousers, pants, chinos, cargo pants, linen trousers, dress pants, formal trousers, slacks, corduroys, palazzo pants, culottes, woven pants, work pants, trouser, khakis", None, _BOTTOM_W, _BOTTOM_M),
    ("shorts, denim shorts, cargo shorts, bermuda shorts, chino shorts, three fourths", None, "* t-shirt, white casual shoes, sunglasses, straw hat, tan handbag", "* t-shirt, white casual shoes, sunglasses, blue cap, brown leather belt"),
    ("leggings, jeggings, capris, tights, yoga pants, stockings, churidar, patiala, salwar", "women", "* tunic, white casual shoes, * sweatshirt, black handbag, sunglasses", _SPORT_M),
    ("track pants, joggers, sweatpants, tracksuit, running shorts, gym shorts, sports bra, cycling shorts, sports t-shirt, training top, rain trousers", None, _SPORT_W, _SPORT_M),
    ("kurta, kurtas, kurti, kurtis, kurta set, saree, sarees, sari, lehenga, lehenga choli, salwar suit, anarkali, ethnic dress, kurta sets, churidar kurta", "women", _ETHNIC_W, _ETHNIC_M),
    ("men's kurta, sherwani, nehru jacket, pathani suit, dhoti, mens kurta", "men", _ETHNIC_W, _ETHNIC_M),
    ("dupatta, dupattas, stole, stoles, shawl, shawls, pashmina", "women", "* kurta, gold earrings, gold bangle, gold sandals, white leggings", "* kurta, white trousers, brown sandals, gold watch, * waistcoat"),
    ("running shoes, sports shoes, trainers, training shoes, gym shoes, tennis shoes, football boots, cleats, hiking shoes, walking shoes, cricket shoes, golf shoes, basketball shoes, sport shoes", None, _SPORT_W.replace("* sports shoes", "white sports socks"), _SPORT_M.replace("* sports shoes", "white sports socks")),
    ("sneakers, casual shoes, casual shoe, shoes, shoe, loafers, slip on shoes, canvas shoes, high top sneakers, boat shoes, moccasins, espadrilles, clogs, white sneakers, converse", None, "* jeans, * t-shirt, blue denim jacket, black handbag, white socks", "* jeans, * t-shirt, blue denim jacket, brown leather belt, white socks"),
    ("formal shoes, oxford shoes, dress shoes, derby shoes, brogues, monk strap shoes, office shoes, leather shoes, oxfords", None, _FORMAL_W.replace("black heels", "white formal shirt"), _FORMAL_M.replace("black formal shoes", "white formal shirt")),
    ("heels, high heels, stilettos, pumps, wedges, strappy heels, kitten heels, block heels, heel, platform heels, wedge sandals, peep toes", "women", "* dress, * clutch, silver earrings, black blazer, silver bracelet", _SUIT_M),
    ("flats, ballet flats, ballerina flats, ballerinas, mules, pumps flat, mary janes, jutti", "women", "* dress, blue jeans, * top, brown handbag, gold earrings", _TOP_M),
    ("boots, ankle boots, chelsea boots, winter boots, knee high boots, hiking boots, work boots, rain boots, wellies, cowboy boots, combat boots, snow boots", None, "* sweater, blue jeans, * jacket, * scarf, brown handbag", "* sweater, blue jeans, * jacket, * scarf, brown leather belt"),
    ("sandals, sandal, flip flops, slippers, slides, beach slippers, gladiator sandals, sports sandals, flat sandals, floaters", None, _SUMMER_W, _SUMMER_M),
    ("handbag, handbags, bag, bags, tote bag, shoulder bag, purse, sling bag, crossbody bag, clutch, clutches, evening bag, satchel, coin purse, hobo bag", "women", _ACCESSORY_W, _ACCESSORY_M),
    ("backpack, backpacks, rucksack, school bag, laptop bag, duffel bag, gym bag, messenger bag, travel bag, briefcase, suitcase, trolley bag, daypack", None, "* t-shirt, blue jeans, white casual shoes, grey hoodie, sunglasses", "* t-shirt, blue jeans, white casual shoes, grey hoodie, black cap"),
    ("wallet, wallets, card holder, billfold, mobile pouch, bifold wallet, money clip", None, _ACCESSORY_W, _ACCESSORY_M),
    ("belt, belts, leather belt, suspenders, braces, leather belts", None, "* trousers, * blouse, brown ankle boots, brown handbag, gold watch", "* trousers, * shirt, brown formal shoes, brown wallet, silver watch"),
    ("tie, ties, necktie, bow tie, cufflinks, pocket square, silk tie, skinny tie, tie pin", "men", "white formal shirt, * blazer, black formal trousers, black flats, silver watch", "white formal shirt, * blazer, * formal trousers, black formal shoes, black leather belt"),
    ("watch, watches, wristwatch, smartwatch, chronograph, sports watch, digital watch, wrist watch", None, _ACCESSORY_W, _ACCESSORY_M),
    ("sunglasses, shades, aviators, aviator sunglasses, sunnies, wayfarers, round sunglasses, polarized sunglasses, glasses", None, _SUMMER_W.replace("sunglasses", "tan sandals"), _SUMMER_M.replace("sunglasses", "tan sandals")),
    ("cap, caps, baseball cap, baseball hat, hat, hats, sun hat, fedora, panama hat, straw hat, bucket hat, visor, headband", None, _SUMMER_W.replace("straw hat", "tan sandals"), _SUMMER_M.replace("blue cap", "tan sandals")),
    ("scarf, scarves, gloves, beanie, wool hat, mittens, muffler, woollen scarf, earmuffs, snood", None, "* coat, * sweater, blue jeans, brown ankle boots, black handbag", "* coat, * sweater, blue jeans, brown boots, black leather belt"),
    ("socks, ankle socks, sports socks, wool socks, no show socks, compression socks", None, _SPORT_W, _SPORT_M),
    ("earrings, necklace, necklaces, bracelet, bracelets, ring, rings, pendant, pendants, bangle, bangles, anklet, jewellery, jewelry, jewellery set, brooch, hoop earrings, pearl necklace, necklace and chains, chain", "women", _JEWEL_W, _ACCESSORY_M),
    ("swimsuit, bikini, swim trunks, swimming shorts, one piece swimsuit, bathing suit, tankini, board shorts, swimwear, cover up", None, "blue flip flops, sunglasses, straw hat, white shorts, * handbag", "blue flip flops, sunglasses, white t-shirt, blue cap, * sandals"),
    ("pyjamas, pajamas, nightdress, bathrobe, robe, night suit, nightgown, lounge pants, boxers, briefs, bra, underwear, innerwear vest, shapewear, camisoles, trunk", None, "grey track pants, * t-shirt, grey socks, * sweatshirt, black flip flops", "grey track pants, * t-shirt, grey socks, * sweatshirt, black flip flops"),
)  # fmt: skip

MATERIALS = listed(
    "cotton, linen, silk, leather, wool, denim, cashmere, velvet, satin, suede, chiffon, knitted, printed, striped, "
    "checked, floral, plain, slim fit, oversized, high waisted, long sleeve, sleeveless, embroidered, vintage, formal, "
    "casual, solid, lightweight, waterproof, designer, polka dot, lace, strappy, pleated, ribbed, quilted, faux fur"
)
TAILS_OF_PRODUCTS = listed(
    "size 10, plus size, under 50 dollars, on sale, with pockets, with buckle, without laces, for tall people, xl, "
    "size m, with zip, with hood, with stripes, slim fit, with logo, wide fit, with belt, cheap, for big feet, with long sleeves"
)
BRANDS = listed(
    "nike, adidas, puma, levis, zara, gucci, ralph lauren, lacoste, tommy hilfiger, michael kors, ray ban, converse, "
    "vans, calvin klein, fossil, titan, wrangler, lee, gap, uniqlo, reebok, new balance, under armour, h&m, guess, "
    "carhartt, the north face, champion, clarks, timberland, crocs, birkenstock, ugg, skechers, asics, fila, casio"
)
PEOPLE: dict[Gender, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # words put before a product or an occasion; words put after it
    "women": (
        listed("women's, womens, ladies, women, woman, girls, girl's, female, ladies'"),
        listed("for women, for a woman, for ladies, women, for her, for my wife, for my girlfriend, for girls, for my mom, for my daughter, for my sister, as a woman, for a lady, for my mother, for women over 40"),
    ),
    "men": (
        listed("men's, mens, men, man, boys, boy's, male, gents, guys"),
        listed("for men, for a man, for guys, men, for him, for my husband, for my boyfriend, for boys, for my dad, for my son, for my brother, as a man, for a guy, for gentlemen, for men over 40"),
    ),
}  # fmt: skip
WEATHERS: dict[Weather, tuple[str, ...]] = {
    "hot": listed("in summer, in the summer, on a hot day, in july, in august, summer, in hot weather, in the heat, on a sunny day, when it is hot"),
    "cold": listed("in winter, in the winter, on a cold day, in december, in january, winter, in cold weather, when it is cold, in the snow, in february"),
    "wet": listed("in the rain, on a rainy day, when it rains, in wet weather, rainy, in monsoon season"),
    "autumn": listed("in autumn, in the fall, in october, autumn, in november, fall"),
    "spring": listed("in spring, in the spring, in april, spring, in may"),
}  # fmt: skip
LEADS = listed(
    "what to wear to, what to wear for, what to wear at, what should i wear to, what should i wear for, outfit for, "
    "outfits for, outfit ideas for, ideas for, clothes for, something to wear to, something for, i need an outfit for, "
    "what do i wear to, what do you wear to, look for, dress code for, going to, invited to, help me dress for, attending, "
    "what to pack for, dressing for, getting ready for, suggestions for, best outfit for, what shall i put on for, "
    "i have, we are going to, what goes well at, wardrobe for, i am going to, i'm going to, need clothes for"
)
ENDINGS = listed(
    "outfit, look, outfits, clothes, outfit ideas, attire, wear, style, wardrobe, dress code, fashion, ensemble"
)
TAILS = listed(
    "with friends, with my family, next week, tomorrow, this weekend, tonight, on saturday, in paris, in london, in mumbai, "
    "in new york, with my colleagues, with the kids, on a budget, please, next month, at the weekend, in the evening, "
    "in the morning, in the afternoon, after work, this year, near the sea, in the city, in the countryside, on sunday, "
    "at a hotel, at my place, at noon, on short notice, for the first time, with carry-on only, in italy, in chicago"
)
PRODUCT_LEADS = listed(
    "looking for, looking for a, looking for some, i want, i want a, i need, i need a, i want to buy a, buy, buy a, show me, "
    "show me a, show me some, find me a, find, shop for, search for, can you find me a, do you have, where can i buy, a, an, "
    "get me a, a photo of a, please show me, i am looking for a, i'm looking for, searching for, in search of a, shop"
)
